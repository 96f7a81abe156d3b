"""Commands of the transactional outbox."""
