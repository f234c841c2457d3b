internal import Compression
internal import LogModel

/// How a batch's payload stands in a row: as it is, or compressed behind "LBZ1" and its length (varint).
///
/// A batch repeats itself: templates, names and samples of 400 series of system logs take a fifth. docs/formats/spool-file.md
/// has the figures.
enum SpoolPayload {
    private static let magic: [UInt8] = Array("LBZ1".utf8)
    /// Below it the few bytes saved are not worth a quarter megabyte of compressor state: a single durable record.
    private static let byteCountMin = 512
    /// No batch is larger: the open one is sealed at a quarter of `MEMORY_LIMIT`, and merged ones are bounded below that.
    static let contentByteCountMax = 256 << 20
    /// Measured with zlib on 128 kB of 400 series with three messages each (x86-64): level 4 leaves 22.7 % in 2.3 ms, level 1 25.9 %
    /// in 1.6 ms, level 6 21.3 % in 3.5 ms.
    private static let level: CInt = 4

    static func packed(_ payload: ByteView) -> [UInt8]? {
        guard payload.count >= byteCountMin, payload.count <= contentByteCountMax,
            let compressed = Deflate.compressed(payload, level: level)
        else { return nil }
        var bytes = magic
        bytes.reserveCapacity(compressed.count + 9)
        var rest = UInt64(payload.count)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
        bytes += compressed
        return bytes.count < payload.count ? bytes : nil
    }

    /// The payload that was appended; `nil` when the bytes cannot be one.
    static func unpacked(_ bytes: ByteView) -> [UInt8]? {
        guard bytes.starts(with: magic) else { return Array(bytes) }
        var offset = magic.count
        var byteCount: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard offset < bytes.count, shift < 35 else { return nil }
            let byte = bytes[offset]
            offset += 1
            byteCount |= UInt64(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { break }
        }
        guard byteCount <= UInt64(contentByteCountMax) else { return nil }
        return Deflate.expanded(ByteView(rebasing: bytes[offset...]), byteCount: Int(byteCount))
    }
}
