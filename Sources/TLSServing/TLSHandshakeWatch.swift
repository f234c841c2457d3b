package import NIOCore
internal import NIOSSL
internal import NIOTLS

/// Closes a connection whose handshake does not end in time or fails, and leaves the connection once it did. Stands right behind
/// the TLS handler; event loop only.
package final class TLSHandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    /// What becomes of handshakes, told on the event loop.
    package struct Reports {
        package var completed: () -> Void
        package var failed: () -> Void

        package init(completed: @escaping () -> Void, failed: @escaping () -> Void) {
            self.completed = completed
            self.failed = failed
        }
    }

    /// From the connection to the end of the handshake. Two round trips and a signature: half a second on a Pi and a bad link.
    private static let patience = TimeAmount.seconds(10)

    private let reports: Reports
    private var timer: Scheduled<Void>?
    private var isSettled = false

    init(_ reports: Reports) {
        self.reports = reports
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.patience) { [weak self] in
            guard let self, !isSettled else { return }
            fail()
            channel.close(promise: nil)
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if !isSettled { fail() }
        context.fireChannelInactive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent, !isSettled {
            isSettled = true
            timer?.cancel()
            reports.completed()
            context.fireUserInboundEventTriggered(event)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
            return
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !isSettled { fail() }
        context.fireErrorCaught(error)
    }

    private func fail() {
        isSettled = true
        timer?.cancel()
        reports.failed()
    }
}
