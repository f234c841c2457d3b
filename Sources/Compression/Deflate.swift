internal import CZlib

/// Compresses and expands whole blocks that have a length and a checksum of their own: raw deflate (RFC 1951) without header or
/// trailer.
package enum Deflate {
    /// `input` compressed, or `nil` when that is not smaller. Takes about 256 KiB while it runs; linear.
    ///
    /// - Parameter level: 1 (fast) to 9 (small).
    package static func compressed(_ input: UnsafeBufferPointer<UInt8>, level: CInt) -> [UInt8]? {
        guard !input.isEmpty, input.count <= Int(CInt.max) else { return nil }
        // zlib keeps a pointer back to its stream and refuses one that moved: hence the heap.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer {
            deflateEnd(stream)
            stream.deinitialize(count: 1)
            stream.deallocate()
        }
        // The largest window: what repeats in a batch lies a few hundred series apart. Negative asks for raw deflate (zlib.h).
        let code = deflateInit2_(
            stream,
            level,
            Z_DEFLATED,
            -15,
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            CInt(MemoryLayout<z_stream>.size)
        )
        // The arguments are constants: what can fail is the memory, and then the bytes stay as they are.
        guard code == Z_OK else { return nil }
        var isSmaller = false
        let result = [UInt8](unsafeUninitializedCapacity: input.count) { output, count in
            // zlib declares its input without const and does not write to it (zlib.h, "z_const").
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.pointee.avail_in = uInt(input.count)
            stream.pointee.next_out = output.baseAddress
            // No room for as much as went in: what does not shrink ends early.
            stream.pointee.avail_out = uInt(input.count - 1)
            isSmaller = deflate(stream, Z_FINISH) == Z_STREAM_END
            count = isSmaller ? input.count - 1 - Int(stream.pointee.avail_out) : 0
        }
        return isSmaller ? result : nil
    }

    /// The `byteCount` bytes that `input` was made of; `nil` when it is damaged or does not give exactly as many. Never
    /// writes more than that, whatever the input claims.
    package static func expanded(_ input: UnsafeBufferPointer<UInt8>, byteCount: Int) -> [UInt8]? {
        guard byteCount > 0, !input.isEmpty, byteCount <= Int(CInt.max) else { return nil }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer {
            inflateEnd(stream)
            stream.deinitialize(count: 1)
            stream.deallocate()
        }
        guard inflateInit2_(stream, -15, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        var isWhole = false
        let result = [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.pointee.avail_in = uInt(clamping: input.count)
            stream.pointee.next_out = output.baseAddress
            stream.pointee.avail_out = uInt(byteCount)
            isWhole =
                inflate(stream, Z_FINISH) == Z_STREAM_END && stream.pointee.avail_out == 0
                && stream.pointee.avail_in == 0
            count = isWhole ? byteCount : 0
        }
        return isWhole ? result : nil
    }
}
