//! The three encoders, and how much memory they have together, of which one address has a share.
//!
//! Levels and windows were measured with 50 KiB of HTML: half to three times the CPU of zlib's level 1, and
//! shorter than that. A larger window or a higher level costs megabytes for each answer under way, and a page gains
//! nothing from them.

use std::io::{self, Write};
use std::net::IpAddr;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;
use zstd::zstd_safe::CParameter;

use crate::net::block::AddressBlock;
use crate::proxy::quota::{Bounds, Quota};
use crate::web::encoding::Encoding;

/// Memory is counted in units of 64 KiB: 64 MiB for all answers, and a quarter for those of one address. No
/// answer waits for its part.
const UNITS: Bounds = Bounds {
    total: 1024,
    each: 256,
    waiting: 0,
    waiting_each: 0,
};

const ZSTD_LEVEL: i32 = 3;
/// With level 3's own tables an encoder has a mebibyte. In powers of two.
const ZSTD_WINDOW: u32 = 17;
const ZSTD_HASHES: u32 = 15;
const ZSTD_CHAINS: u32 = 14;
/// From 5 on it takes twice the time.
const BROTLI_QUALITY: i32 = 4;
const BROTLI_WINDOW: i32 = 17;
const GZIP_LEVEL: u32 = 3;

/// The memory that all encoders have together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Encoders(Quota);

/// An encoder that may be made.
#[derive(Debug)]
pub(in crate::proxy) struct EncoderTicket {
    encoding: Encoding,
    /// Of all that is to be compressed, where that is known.
    pub(super) length: Option<u64>,
    _memory: EncoderMemory,
}

/// An encoder's part of the memory; given back when it is dropped.
#[derive(Debug)]
struct EncoderMemory {
    quota: Quota,
    address: AddressBlock,
    units: u64,
}

/// Compresses; what is ready waits in it.
pub(super) struct Encoder {
    codec: Codec,
    _ticket: EncoderTicket,
}

enum Codec {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Default for Encoders {
    fn default() -> Self {
        Self(Quota::new(UNITS))
    }
}

impl Encoders {
    /// One more for an answer to this client, where memory is left for it.
    pub(super) fn ticket(
        &self,
        encoding: Encoding,
        length: Option<u64>,
        client: IpAddr,
    ) -> Option<EncoderTicket> {
        let units = match encoding {
            Encoding::Identity => return None,
            Encoding::Zstd => 10,
            Encoding::Brotli => 35,
            Encoding::Gzip => 8,
        };
        let address = AddressBlock::of(client);
        self.0.try_take(address, units).then(|| EncoderTicket {
            encoding,
            length,
            _memory: EncoderMemory {
                quota: self.0.clone(),
                address,
                units,
            },
        })
    }
}

impl Drop for EncoderMemory {
    fn drop(&mut self) {
        self.quota.give(self.address, self.units);
    }
}

impl Encoder {
    /// Makes the encoder, which is when it begins to take memory.
    pub(super) fn new(ticket: EncoderTicket) -> io::Result<Self> {
        let codec = match ticket.encoding {
            Encoding::Zstd => Codec::Zstd(zstd(ticket.length)?),
            Encoding::Brotli => Codec::Brotli(Box::new(brotli())),
            Encoding::Gzip | Encoding::Identity => {
                Codec::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)))
            }
        };
        Ok(Self {
            codec,
            _ticket: ticket,
        })
    }

    /// Compresses these bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.codec.writer().write_all(bytes)
    }

    /// Makes all that was written so far readable for a client that has what is ready.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.codec.writer().flush()
    }

    /// How many bytes are ready.
    pub(super) fn ready(&self) -> usize {
        match &self.codec {
            Codec::Zstd(encoder) => encoder.get_ref().len(),
            Codec::Brotli(encoder) => encoder.get_ref().len(),
            Codec::Gzip(encoder) => encoder.get_ref().len(),
        }
    }

    /// Takes what is ready.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.codec {
            Codec::Zstd(encoder) => encoder.get_mut(),
            Codec::Brotli(encoder) => encoder.get_mut(),
            Codec::Gzip(encoder) => encoder.get_mut(),
        })
    }

    /// All the rest.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self.codec {
            Codec::Zstd(encoder) => encoder.finish(),
            Codec::Brotli(encoder) => Ok(encoder.into_inner()),
            Codec::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl Codec {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Brotli(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }
}

fn zstd(length: Option<u64>) -> io::Result<ZstdEncoder<'static, Vec<u8>>> {
    let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
    encoder.set_parameter(CParameter::HashLog(ZSTD_HASHES))?;
    encoder.set_parameter(CParameter::ChainLog(ZSTD_CHAINS))?;
    // It takes less memory for what is short.
    encoder.set_pledged_src_size(length)?;
    Ok(encoder)
}

fn brotli() -> CompressorWriter<Vec<u8>> {
    let parameters = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW,
        ..BrotliEncoderParams::default()
    };
    CompressorWriter::with_params(Vec::new(), 4096, &parameters)
}
