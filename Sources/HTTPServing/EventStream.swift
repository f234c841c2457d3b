internal import LogModel
internal import NIOCore

/// An open stream of server-sent events to one client. Event loop only.
package final class EventStream {
    private let channel: any Channel
    private var backlogByteCount = 0
    /// Events left out because the client reads too slowly; told in the stream as soon as there is room.
    private var skippedCount = 0
    private var isEnded = false
    package var onEnd: () -> Void = {}

    init(channel: any Channel) {
        self.channel = channel
    }

    /// Sends one event with this data, which must not contain a line feed. Left out and counted when more than
    /// ``Limits/tailBacklogByteCountMax`` bytes wait for the client: a slow reader must not cost memory.
    package func send(_ data: [UInt8]) {
        guard !isEnded else { return }
        guard backlogByteCount + data.count <= Limits.tailBacklogByteCountMax else {
            skippedCount += 1
            return
        }
        var bytes = channel.allocator.buffer(capacity: data.count + 64)
        if skippedCount > 0 {
            bytes.writeString("event: skipped\ndata: \(skippedCount)\n\n")
            skippedCount = 0
        }
        bytes.writeStaticString("data: ")
        bytes.writeBytes(data)
        bytes.writeStaticString("\n\n")
        write(bytes)
    }

    /// A comment, so that proxies and clients see that the stream lives.
    package func keepAlive() {
        guard !isEnded else { return }
        var bytes = channel.allocator.buffer(capacity: 16)
        bytes.writeStaticString(": keep-alive\n\n")
        write(bytes)
    }

    private func write(_ bytes: ByteBuffer) {
        let count = bytes.readableBytes
        backlogByteCount += count
        channel.writeAndFlush(bytes).assumeIsolated().whenComplete { [weak self] _ in self?.backlogByteCount -= count }
    }

    func ended() {
        guard !isEnded else { return }
        isEnded = true
        onEnd()
        onEnd = {}
    }
}
