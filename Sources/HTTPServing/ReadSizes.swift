internal import NIOCore

/// How much one connection reads at once: a small request fits into the first size, and each read that fills its buffer
/// doubles the next one, up to what the server allows for so many connections.
///
/// SwiftNIO keeps the buffer with the connection and fills it again once nobody looks at it, so a request that comes whole costs no
/// allocation. `@unchecked Sendable`: asked on the server's loop only.
struct ReadSizes: RecvByteBufferAllocator, @unchecked Sendable {
    /// A single record with its head has some 400 bytes.
    private static let first = 1024

    private let server: HTTPServer
    private var byteCount = Self.first

    init(server: HTTPServer) {
        self.server = server
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: byteCount)
    }

    func nextBufferSize() -> Int? { byteCount }

    mutating func record(actualReadBytes: Int) -> Bool {
        let bound = server.readByteCountMax
        if byteCount > bound {
            byteCount = bound
        } else if actualReadBytes >= byteCount, byteCount < bound {
            byteCount = min(byteCount * 2, bound)
            return true
        }
        return false
    }
}
