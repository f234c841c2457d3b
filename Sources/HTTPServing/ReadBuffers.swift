internal import NIOCore

/// Where a plain connection is read into: a small buffer of its own, which a single record with its head fits into, or a large
/// one that all connections share.
///
/// Most large requests have arrived whole when they are looked at, and leave nothing behind in it. So many connections that send
/// large bodies take one large buffer, not each its own. SwiftNIO keeps the first buffer that a connection is given and fills it
/// again while nobody looks at it, so a small request costs no allocation; it keeps no further one, which is the shared buffer's chance.
/// `@unchecked Sendable`: asked on the server's loop only.
struct ReadBuffers: RecvByteBufferAllocator, @unchecked Sendable {
    /// A single record with its head has some 400 bytes.
    static let smallByteCount = 1024
    /// A request of 1,300 logs: while the loop was with others, all of it came. Touched as far as it is used.
    static let largeByteCount = 256 * 1024
    /// What there is room for before the large buffer is read into, and what a connection may read on of a request that did
    /// not come whole.
    static let stepByteCount = 64 * 1024

    private let server: HTTPServer
    private let connection: ConnectionHandler

    init(server: HTTPServer, connection: ConnectionHandler) {
        self.server = server
        self.connection = connection
    }

    /// `nil` asks SwiftNIO to call ``buffer(allocator:)``.
    func nextBufferSize() -> Int? {
        connection.readByteCountMax > Self.smallByteCount ? nil : Self.smallByteCount
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        let byteCount = connection.readByteCountMax
        guard byteCount > Self.smallByteCount else { return allocator.buffer(capacity: Self.smallByteCount) }
        return server.takeReadBuffer(byteCount: byteCount, allocator)
    }

    /// Always true, which keeps SwiftNIO from filling the small buffer where the shared one is meant.
    mutating func record(actualReadBytes: Int) -> Bool {
        connection.didRead(actualReadBytes)
        return true
    }
}
