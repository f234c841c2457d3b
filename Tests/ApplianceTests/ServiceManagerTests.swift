import Foundation
import PipelineTesting
import Synchronization
import Testing

/// A datagram socket as systemd opens it for a service. A thread empties it at once, as systemd does: a full one would hold
/// up the sender.
private final class NotifySocket {
    private final class Inbox: Sendable {
        let texts = Mutex<[String]>([])
    }

    let path: String
    private let folder: TemporaryDirectory
    private let descriptor: Int32
    private let inbox = Inbox()
    private var seenCount = 0

    /// All that has come.
    var received: [String] { inbox.texts.withLock { $0 } }

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.file("notify")
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard code == 0 else { throw TestingError("bind \(path): errno \(errno)") }
        Thread.detachNewThread { [descriptor, inbox] in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                // Nothing is sent without text: the socket was shut down.
                guard count > 0 else { return _ = close(descriptor) }
                let text = String(decoding: buffer[..<count], as: UTF8.self)
                inbox.texts.withLock { $0.append(text) }
            }
        }
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    /// Waits until a datagram with a line that begins so has come since the last one waited for.
    func expect(_ line: String, _ limit: Duration = .seconds(10)) throws {
        try Wait.until(
            "\(line) at the notify socket; came: \(received)",
            limit,
            holds: {
                let fresh = received.dropFirst(seenCount)
                let place = fresh.firstIndex { $0.split(separator: "\n").contains { $0.hasPrefix(line) } }
                guard let place else { return false }
                seenCount = place + 1
                return true
            }
        )
    }
}

@Suite struct ServiceManagerTests {
    @Test func `systemd hears READY, STATUS, WATCHDOG, RELOADING and STOPPING`() throws {
        let socket = try NotifySocket()
        let daemon = try DaemonProcess([
            "NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "400000",
        ])
        try socket.expect("READY=1")
        try socket.expect("STATUS=0 records, 0 patterns; embedded up")
        for _ in 0..<3 { try socket.expect("WATCHDOG=1") }
        daemon.hangUp()
        try socket.expect("RELOADING=1")
        try socket.expect("READY=1")
        try daemon.postRecords(2)
        try expectOrderlyEnd(daemon)
        try socket.expect("STOPPING=1")
        // READY comes first, whatever else.
        #expect(socket.received.first?.hasPrefix("READY=1") == true, "\(socket.received)")
    }

    @Test func `READY does not wait for PostgreSQL, and the watchdog is fed while it swallows everything`() throws {
        let proxy = try FaultProxy(to: PostgresCluster.shared().port)
        proxy.blackHole()
        let socket = try NotifySocket()
        let daemon = try DaemonProcess([
            "NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "400000", "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": String(proxy.port),
        ])
        try socket.expect("READY=1", .seconds(3))
        try daemon.postRecords(1, level: "ERROR")
        for _ in 0..<5 { try socket.expect("WATCHDOG=1", .seconds(2)) }
        try expectOrderlyEnd(daemon)
        try socket.expect("STOPPING=1")
    }

    @Test func `the log carries priorities in the journal's form, and is JSON when asked for`() throws {
        let journal = try DaemonProcess(["LOG_FORMAT": "journal"])
        try expectOrderlyEnd(journal)
        let priorities = journal.log.split(separator: "\n").map { $0.prefix(3) }
        #expect(!priorities.isEmpty)
        #expect(priorities.allSatisfy { ["<3>", "<4>", "<5>", "<6>", "<7>"].contains($0) }, "\(journal.log)")
        let json = try DaemonProcess(["LOG_FORMAT": "json"])
        try expectOrderlyEnd(json)
        for line in json.log.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["message"] is String)
            #expect(object?["level"] is String)
        }
    }
}
