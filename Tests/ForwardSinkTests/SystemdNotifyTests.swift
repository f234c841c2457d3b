import Foundation
import SystemdNotify
import Testing

/// A datagram socket as systemd opens it for a service.
private final class NotifySocket {
    private let descriptor: CInt
    private let path: String

    init() {
        path = NSTemporaryDirectory() + "logboom-notify-\(getpid())-\(UInt32.random(in: 0...(.max)))"
        descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        precondition(bound == 0, "bind the test's socket: errno \(errno)")
        setenv("NOTIFY_SOCKET", path, 1)
    }

    deinit {
        unsetenv("NOTIFY_SOCKET")
        close(descriptor)
        unlink(path)
    }

    /// The next datagram; empty when there is none. Sends on a unix socket are there when send returns: no waiting.
    func next() -> String {
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}

/// Serialized: the protocol is in environment variables, of which a process has one set.
@Suite(.serialized)
struct SystemdNotifyTests {
    @Test func `every state arrives at systemd's socket`() {
        let socket = NotifySocket()
        #expect(SystemdNotify.isSupervised)
        #expect(SystemdNotify.ready(status: "3 patterns"))
        #expect(socket.next() == "READY=1\nSTATUS=3 patterns")
        #expect(SystemdNotify.ready())
        #expect(socket.next() == "READY=1")
        #expect(SystemdNotify.watchdog())
        #expect(socket.next() == "WATCHDOG=1")
        #expect(SystemdNotify.status("PostgreSQL away since 10:00"))
        #expect(socket.next() == "STATUS=PostgreSQL away since 10:00")
        #expect(SystemdNotify.stopping(status: "flushing"))
        #expect(socket.next() == "STOPPING=1\nSTATUS=flushing")
        #expect(SystemdNotify.extendTimeout(by: .milliseconds(1500)))
        #expect(socket.next() == "EXTEND_TIMEOUT_USEC=1500000")
    }

    @Test func `reloading carries the monotonic time`() throws {
        let socket = NotifySocket()
        var before = timespec()
        clock_gettime(CLOCK_MONOTONIC, &before)
        SystemdNotify.reloading()
        let text = socket.next()
        #expect(text.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        let stamp = try #require(Int(text.split(separator: "=").last ?? ""))
        #expect(stamp >= before.tv_sec * 1_000_000 + before.tv_nsec / 1000)
        #expect(stamp < (before.tv_sec + 60) * 1_000_000)
    }

    @Test func `a status cannot smuggle in another state`() {
        let socket = NotifySocket()
        SystemdNotify.status("away\nWATCHDOG=trigger\r\n\0x\u{7F}")
        #expect(socket.next() == "STATUS=away WATCHDOG=trigger   x ")
    }

    @Test func `a long status is cut at a scalar's edge`() {
        let socket = NotifySocket()
        SystemdNotify.status(String(repeating: "é", count: 4000))
        #expect(socket.next() == "STATUS=" + String(repeating: "é", count: SystemdNotify.statusByteCountMax / 2))
    }

    @Test func `without systemd nothing happens`() {
        unsetenv("NOTIFY_SOCKET")
        #expect(!SystemdNotify.isSupervised)
        #expect(!SystemdNotify.ready())
        #expect(!SystemdNotify.watchdog())
        #expect(!SystemdNotify.status("x"))
    }

    @Test func `a socket that is gone does no harm`() {
        setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1)
        defer { unsetenv("NOTIFY_SOCKET") }
        #expect(!SystemdNotify.watchdog())
    }

    @Test func `the watchdog's interval is this process's own, or none`() {
        defer {
            unsetenv("WATCHDOG_USEC")
            unsetenv("WATCHDOG_PID")
        }
        unsetenv("WATCHDOG_USEC")
        #expect(SystemdNotify.watchdogInterval == nil)
        setenv("WATCHDOG_USEC", "30000000", 1)
        setenv("WATCHDOG_PID", String(getpid()), 1)
        #expect(SystemdNotify.watchdogInterval == .seconds(30))
        setenv("WATCHDOG_PID", "1", 1)
        #expect(SystemdNotify.watchdogInterval == nil)
        setenv("WATCHDOG_USEC", "nonsense", 1)
        setenv("WATCHDOG_PID", String(getpid()), 1)
        #expect(SystemdNotify.watchdogInterval == nil)
    }

    @Test func `sockets are none without systemd, and not those of another process`() {
        unsetenv("LISTEN_FDS")
        #expect(SystemdNotify.listenDescriptors().isEmpty)
        setenv("LISTEN_FDS", "2", 1)
        setenv("LISTEN_PID", "1", 1)
        defer {
            unsetenv("LISTEN_FDS")
            unsetenv("LISTEN_PID")
        }
        #expect(SystemdNotify.listenDescriptors().isEmpty)
    }
}
