internal import NIOCore

/// Tells a client that speaks plain HTTP to a port of TLS so, in its own language and once, and closes: what the TLS library has
/// to say to it is seven bytes that no HTTP client can read.
///
/// Stands before the TLS handler, looks at the first byte of a connection, and leaves it. Event loop only.
final class PlainRequestGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What follows the answer is read and thrown away for so long: closing at once would reset the connection, and could take the
    /// answer from the client's hands (RFC 9112, 9.6).
    private static let lingerTime = TimeAmount.milliseconds(500)

    private static let body =
        #"{"type":"about:blank","title":"Bad Request","status":400,"# + #""detail":"This port speaks TLS: use https."}"#
        + "\n"
    private static let answer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: \(body.utf8.count)\r\n"
        + "Connection: close\r\n\r\n\(body)"

    private var isAnswered = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAnswered else { return }
        let bytes = unwrapInboundIn(data)
        // A method begins with a capital letter, a handshake with 22 (RFC 8446, 5.1).
        guard let first = bytes.readableBytesView.first, (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) else {
            context.fireChannelRead(data)
            return context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
        isAnswered = true
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(channel.allocator.buffer(string: Self.answer)), promise: nil)
        context.close(mode: .output, promise: nil)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
    }
}
