"""The tables of the transactional outbox."""
