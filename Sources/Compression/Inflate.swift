internal import CZlib

/// Expands what a sender compressed, within a bound that the sender has no say in.
package enum Inflate {
    /// Content codings (RFC 9110, 8.4.1) that are read.
    package enum Coding: Sendable {
        /// RFC 1952, one member.
        case gzip
        /// RFC 1950; what some senders mean by the name, RFC 1951 without the wrapper, is read too.
        case deflate
    }

    package enum Failure: Error, Sendable, Equatable {
        /// Cut short, changed on the way, followed by something else, or nothing of the kind.
        case damaged
        /// It would be larger than allowed. Known before the memory is taken.
        case tooLarge
    }

    /// The bytes that `input` was made of, at most `byteCountMax`.
    ///
    /// gzip says at its end how many they are: that much memory is taken, once, or none when it is too much; and it is damaged when they are
    /// not exactly as many. So a small body that claims gigabytes is refused at once, and one that lies does not get further
    /// than it said. Deflate says nothing, so it is opened twice, the first time for its size alone: that takes no memory that grows,
    /// and the time of the bound.
    package static func expanded(
        _ input: UnsafeBufferPointer<UInt8>,
        _ coding: Coding,
        byteCountMax: Int
    ) throws(Failure) -> [UInt8] {
        guard input.count <= Int(CInt.max), byteCountMax <= Int(CInt.max) else { throw .tooLarge }
        switch coding {
        case .gzip:
            // Header and trailer alone are 18 bytes.
            guard input.count >= 18 else { throw .damaged }
            let size = input.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            guard size <= byteCountMax else {
                // Deflate makes no more than 1,032 bytes of one (zlib.net, "zlib Technical Details"): what claims more lies.
                throw size / 1032 <= input.count ? .tooLarge : .damaged
            }
            // 16 asks for the gzip wrapper (zlib.h, inflateInit2).
            return try run(input, windowBits: 15 + 16, byteCount: size)
        case .deflate:
            guard input.count >= 2 else { throw .damaged }
            // The wrapper's first two bytes: method 8, and a multiple of 31 together (RFC 1950, 2.2).
            let isWrapped = input[0] & 0x0F == 8 && (Int(input[0]) << 8 | Int(input[1])) % 31 == 0
            let windowBits: CInt = isWrapped ? 15 : -15
            return try run(
                input,
                windowBits: windowBits,
                byteCount: try measured(input, windowBits: windowBits, byteCountMax: byteCountMax)
            )
        }
    }

    /// Opens the whole of `input` into exactly so many bytes.
    private static func run(
        _ input: UnsafeBufferPointer<UInt8>,
        windowBits: CInt,
        byteCount: Int
    ) throws(Failure) -> [UInt8] {
        try withStream(of: input, windowBits: windowBits) { stream throws(Failure) in
            var code = Z_OK
            // One byte more than there may be shows whether there would be more.
            let room = byteCount + 1
            let output = [UInt8](unsafeUninitializedCapacity: room) { output, count in
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = uInt(room)
                code = inflate(stream, Z_SYNC_FLUSH)
                count = room - Int(stream.pointee.avail_out)
            }
            guard code == Z_STREAM_END, stream.pointee.avail_in == 0, output.count == byteCount else { throw .damaged }
            return output
        }
    }

    /// How many bytes `input` was made of; looks no further than one portion past the bound.
    private static func measured(
        _ input: UnsafeBufferPointer<UInt8>,
        windowBits: CInt,
        byteCountMax: Int
    ) throws(Failure) -> Int {
        // As large as deflate's window: what comes is written over and over.
        let portionByteCount = 32 * 1024
        return try withStream(of: input, windowBits: windowBits) { stream throws(Failure) in
            let portion = UnsafeMutablePointer<UInt8>.allocate(capacity: portionByteCount)
            defer { portion.deallocate() }
            var byteCount = 0
            while true {
                stream.pointee.next_out = portion
                stream.pointee.avail_out = uInt(portionByteCount)
                let code = inflate(stream, Z_SYNC_FLUSH)
                byteCount += portionByteCount - Int(stream.pointee.avail_out)
                guard byteCount <= byteCountMax else { throw .tooLarge }
                if code == Z_STREAM_END {
                    guard stream.pointee.avail_in == 0 else { throw .damaged }
                    return byteCount
                }
                guard code == Z_OK || code == Z_BUF_ERROR, stream.pointee.avail_out == 0 else { throw .damaged }
            }
        }
    }

    private static func withStream<Result>(
        of input: UnsafeBufferPointer<UInt8>,
        windowBits: CInt,
        _ use: (UnsafeMutablePointer<z_stream>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // zlib keeps a pointer back to its stream and refuses one that moved: hence the heap.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer {
            inflateEnd(stream)
            stream.deinitialize(count: 1)
            stream.deallocate()
        }
        // The arguments are constants: what can fail is 40 KiB of memory, and then the body cannot be read.
        guard inflateInit2_(stream, windowBits, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .damaged
        }
        // zlib declares its input without const and does not write to it (zlib.h, "z_const").
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        stream.pointee.avail_in = uInt(input.count)
        return try use(stream)
    }
}
