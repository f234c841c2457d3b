internal import Foundation
internal import Synchronization

/// A TCP proxy on 127.0.0.1 that breaks connections in chosen places: after a given byte, by silence, by slowness.
///
/// Everything it forwards is counted. A cut happens once, then connections work again until another one is armed.
package final class FaultProxy: Sendable {
    private struct State {
        var cutAfterClientBytes: Int?
        var cutAfterServerBytes: Int?
        var clientByteCount = 0
        var serverByteCount = 0
        var connectionCount = 0
        var cutCount = 0
        var isBlackHole = false
        var delay: Duration = .zero
        var open: [Int32] = []
        var isClosed = false
    }

    /// On 127.0.0.1; connect here instead of to the server.
    package let port: Int

    private let targetPort: Int
    private let listener: Int32
    private let state = Mutex(State())

    /// Forwards to `port` on 127.0.0.1.
    package init(to port: Int) throws {
        targetPort = port
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0, Self.withLoopback(port: 0, { bind(descriptor, $0, $1) }) == 0,
            listen(descriptor, 64) == 0
        else { throw TestingError("listen on 127.0.0.1: errno \(errno)") }
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        listener = descriptor
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(descriptor, nil, nil)
                if client < 0 { return }
                guard let self else { return _ = Glibc.close(client) }
                self.accepted(client)
            }
        }
    }

    deinit {
        close()
    }

    /// Ends every connection and listens no more.
    package func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            shutdown(listener, Int32(SHUT_RDWR))
            Glibc.close(listener)
        }
    }

    /// Ends the connection as soon as clients have sent more than `clientBytes`, counted from now; forwards that many.
    package func cutAfter(clientBytes: Int) {
        state.withLock { state in
            state.cutAfterClientBytes = state.clientByteCount + clientBytes
            state.cutAfterServerBytes = nil
        }
    }

    /// Ends the connection as soon as the server has sent more than `serverBytes`, counted from now; forwards that many.
    package func cutAfter(serverBytes: Int) {
        state.withLock { state in
            state.cutAfterServerBytes = state.serverByteCount + serverBytes
            state.cutAfterClientBytes = nil
        }
    }

    /// From now on takes bytes and forwards none, on old connections and new ones: nothing tells the peers.
    package func blackHole() {
        state.withLock { $0.isBlackHole = true }
    }

    /// Pauses this long before each piece is forwarded.
    package func setDelay(_ delay: Duration) {
        state.withLock { $0.delay = delay }
    }

    /// No cut, no silence, no pause; ends the connections that lost bytes.
    package func restore() {
        state.withLock { state in
            state.cutAfterClientBytes = nil
            state.cutAfterServerBytes = nil
            state.delay = .zero
            if state.isBlackHole {
                for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            }
            state.isBlackHole = false
        }
    }

    /// Forwarded from clients so far.
    package var clientByteCount: Int { state.withLock { $0.clientByteCount } }
    /// Forwarded from the server so far.
    package var serverByteCount: Int { state.withLock { $0.serverByteCount } }
    /// Connections taken so far.
    package var connectionCount: Int { state.withLock { $0.connectionCount } }
    /// Connections that have not ended on both sides yet.
    package var openConnectionCount: Int { state.withLock { $0.open.count / 2 } }
    /// Connections cut by ``cutAfter(clientBytes:)`` and ``cutAfter(serverBytes:)`` so far.
    package var cutCount: Int { state.withLock { $0.cutCount } }

    private func accepted(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard server >= 0, Self.withLoopback(port: targetPort, { connect(server, $0, $1) }) == 0 else {
            // The server is away: to the client that is a connection that ends at once.
            Glibc.close(server)
            Glibc.close(client)
            return
        }
        for descriptor in [client, server] {
            var on: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        let pair = DescriptorPair(client: client, server: server)
        state.withLock { state in
            state.connectionCount += 1
            state.open += [client, server]
        }
        for fromClient in [true, false] {
            Thread.detachNewThread { [self] in
                pump(pair, fromClient: fromClient)
                shutdown(client, Int32(SHUT_RDWR))
                shutdown(server, Int32(SHUT_RDWR))
                // The second of the two closes, so that no number is used again while the other still reads from it.
                guard pair.isSecond() else { return }
                state.withLock { state in state.open.removeAll { $0 == client || $0 == server } }
                Glibc.close(client)
                Glibc.close(server)
            }
        }
    }

    private func pump(_ pair: DescriptorPair, fromClient: Bool) {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let noSignal = Int32(MSG_NOSIGNAL)
        let (from, to) = fromClient ? (pair.client, pair.server) : (pair.server, pair.client)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            if count <= 0 { return }
            let (allowed, isCut, delay) = state.withLock { state -> (Int, Bool, Duration) in
                if state.isBlackHole { return (0, false, .zero) }
                let passed = fromClient ? state.clientByteCount : state.serverByteCount
                let limit = fromClient ? state.cutAfterClientBytes : state.cutAfterServerBytes
                let allowed = min(count, max(0, (limit ?? .max) - passed))
                if fromClient { state.clientByteCount += allowed } else { state.serverByteCount += allowed }
                let isCut = allowed < count
                if isCut {
                    state.cutAfterClientBytes = nil
                    state.cutAfterServerBytes = nil
                    state.cutCount += 1
                }
                return (allowed, isCut, state.delay)
            }
            if delay > .zero { usleep(UInt32(delay / .microseconds(1))) }
            var sent = 0
            while sent < allowed {
                let written = buffer.withUnsafeBytes { bytes in
                    send(
                        to,
                        UnsafeRawBufferPointer(rebasing: bytes[sent..<allowed]).baseAddress,
                        allowed - sent,
                        noSignal
                    )
                }
                if written <= 0 { return }
                sent += written
            }
            if isCut { return }
        }
    }

    private final class DescriptorPair: Sendable {
        let client: Int32
        let server: Int32
        private let ended = Atomic<Int>(0)

        init(client: Int32, server: Int32) {
            self.client = client
            self.server = server
        }

        func isSecond() -> Bool {
            ended.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue == 2
        }
    }

    private static func withLoopback(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
