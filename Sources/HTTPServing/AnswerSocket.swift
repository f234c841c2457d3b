internal import Glibc
internal import NIOCore

/// The socket under one plain connection, which an answer is sent by directly: nearly all fit into the kernel's buffer, and need none of
/// what a channel does for bytes that have to wait. That is a seventh of what a single post costs.
///
/// What the kernel does not take at once goes by the channel, which waits for room and learns of errors. Until it has all left,
/// nothing is sent here, so that bytes keep their order. Owns nothing: the descriptor is the channel's, and used only between
/// ``open(_:)`` and ``close()``, which its handler calls when the channel becomes active and inactive. Event loop only.
struct AnswerSocket {
    private var descriptor: CInt = -1
    /// The channel was given something that may not have left yet.
    private var isBehindChannel = false

    /// Not for a channel whose bytes are changed on their way, as TLS does. One without a socket keeps to the channel.
    mutating func open(_ context: ChannelHandlerContext) {
        do {
            descriptor =
                try context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
                ?? -1
        } catch {
            // The channel is closed: nothing is sent any more.
            descriptor = -1
        }
    }

    mutating func close() {
        descriptor = -1
    }

    /// True when all has left; else `bytes` holds the rest, which has to be given to the channel now. Does not wait.
    mutating func send(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        guard descriptor >= 0 else { return false }
        if isBehindChannel {
            guard Self.bufferedByteCount(context.channel) == 0 else { return false }
            isBehindChannel = false
        }
        let byteCount = bytes.readableBytes
        guard byteCount > 0 else { return true }
        let sent = bytes.withUnsafeReadableBytes { raw in
            var count = -1
            repeat {
                count = Glibc.send(descriptor, raw.baseAddress, raw.count, CInt(MSG_NOSIGNAL))
            } while count < 0 && errno == EINTR
            return count
        }
        if sent == byteCount { return true }
        // No room, or an error: the channel meets it again, and knows what to do.
        if sent > 0 { bytes.moveReaderIndex(forwardBy: sent) }
        isBehindChannel = true
        return false
    }

    /// Something goes by the channel without having been tried here.
    mutating func passedBy() {
        isBehindChannel = true
    }

    /// What waits in the channel, flushed or not.
    static func bufferedByteCount(_ channel: any Channel) -> Int {
        do {
            return try channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0
        } catch {
            // The channel is closed: nothing waits any more.
            return 0
        }
    }
}
