import Foundation
import PipelineTesting
import Synchronization
import Testing

/// A socket that listens, opened here as systemd opens those of `logboomd.socket`: it outlives the daemons it is given to.
private final class HeldSocket {
    let descriptor: Int32
    private(set) var port = 0

    /// On TCP, at a port of the system's choice.
    init(address: String = "127.0.0.1") throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, address, &name.sin_addr)
        var count = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, count) | listen(descriptor, 1024) | getsockname(descriptor, $0, &count)
            }
        }
        guard code == 0 else { throw TestingError("listen on \(address): errno \(errno)") }
        port = Int(UInt16(bigEndian: name.sin_port))
    }

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) | listen(descriptor, 1024)
            }
        }
        guard code == 0 else { throw TestingError("listen on \(path): errno \(errno)") }
    }

    deinit {
        close(descriptor)
    }
}

/// Senders that post one record after the other without a pause, on a new connection each or on one kept alive, which is made
/// anew when an answer says that it was the last.
private final class Senders: Sendable {
    private struct Book {
        var answeredCount = 0
        var errors: [String] = []
        var isDone = false
        var runningCount = 0
    }

    private let book = Mutex(Book())

    var answeredCount: Int { book.withLock { $0.answeredCount } }

    init(port: Int, keptAlive: [Bool]) {
        for isKeptAlive in keptAlive {
            book.withLock { $0.runningCount += 1 }
            Thread.detachNewThread { [self] in
                run(.port(port), isKeptAlive)
                book.withLock { $0.runningCount -= 1 }
            }
        }
    }

    /// Stops them and returns the answers that were a success, and what went wrong.
    func stop() throws -> (answeredCount: Int, errors: [String]) {
        book.withLock { $0.isDone = true }
        try Wait.until("the senders to end", .seconds(20), holds: { book.withLock { $0.runningCount == 0 } })
        return book.withLock { ($0.answeredCount, $0.errors) }
    }

    private func run(_ address: HTTPTestAddress, _ isKeptAlive: Bool) {
        let body = Array(#"{"message":"the pump started","source":"pump"}"#.utf8)
        let headers = isKeptAlive ? [:] : ["Connection": "close"]
        var connection: HTTPTestConnection?
        while !book.withLock({ $0.isDone }) {
            do {
                let own = try connection ?? HTTPTestConnection(address)
                let answer = try own.send("POST", "/ingest", body, headers: headers)
                connection = answer.headers["connection"] == "close" ? nil : own
                book.withLock {
                    if answer.status == 202 { $0.answeredCount += 1 } else { $0.errors.append(answer.text) }
                }
            } catch {
                connection = nil
                book.withLock { $0.errors.append("\(error)") }
            }
        }
    }
}

@Suite struct SocketActivationTests {
    @Test func `sockets that systemd holds take the place of the same addresses in LISTEN`() throws {
        let state = try TemporaryDirectory()
        let tcp = try HeldSocket()
        let path = state.file("held.sock")
        let unix = try HeldSocket(path: path)
        let daemon = try DaemonProcess(
            ["LISTEN": "127.0.0.1:\(tcp.port),unix:\(path),unix:\(state.file("own.sock"))"],
            state: state,
            sockets: [tcp.descriptor, unix.descriptor]
        )
        #expect(daemon.port == tcp.port)
        for address in [HTTPTestAddress.port(tcp.port), .unix(path: path), .unix(path: state.file("own.sock"))] {
            let answer = try HTTPTestConnection(address).send("GET", "/livez")
            #expect(answer.status == 200, "\(address)")
        }
        #expect(!daemon.log.contains("LISTEN does not name it"), "\(daemon.log)")
        try expectOrderlyEnd(daemon)
    }

    @Test func `localhost is the loopback socket that systemd holds`() throws {
        let tcp = try HeldSocket()
        let daemon = try DaemonProcess(["LISTEN": "localhost:\(tcp.port)"], sockets: [tcp.descriptor])
        #expect(daemon.port == tcp.port)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a socket that LISTEN does not name is served, and the log says why`() throws {
        let tcp = try HeldSocket()
        let daemon = try DaemonProcess(sockets: [tcp.descriptor])
        #expect(daemon.port != tcp.port)
        #expect(try HTTPTestConnection(.port(tcp.port)).send("GET", "/livez").status == 200)
        try daemon.waitForLog("127.0.0.1:\(tcp.port) is served because systemd holds it")
        try expectOrderlyEnd(daemon)
    }

    @Test func `no post is refused while one daemon ends and the next begins, and each is counted once`() throws {
        let state = try TemporaryDirectory()
        let tcp = try HeldSocket()
        let settings = ["LISTEN": "127.0.0.1:\(tcp.port)"]
        let senders = Senders(port: tcp.port, keptAlive: [true, true, false, false])
        var daemon = try DaemonProcess(settings, state: state, sockets: [tcp.descriptor])
        for _ in 0..<3 {
            let before = senders.answeredCount
            try Wait.until("posts", .seconds(20), holds: { senders.answeredCount >= before + 50 })
            let end = try daemon.terminate()
            #expect(end == .exited(0), "\(daemon.log)")
            daemon = try DaemonProcess(settings, state: state, sockets: [tcp.descriptor])
        }
        let (answeredCount, errors) = try senders.stop()
        #expect(errors.isEmpty, "\(errors.prefix(5))")
        let counted = try daemon.storedPatterns().filter { $0.source == "pump" }.reduce(0) { $0 + $1.count }
        #expect(counted == answeredCount)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a socket that other machines reach needs the same leave as LISTEN does`() throws {
        let tcp = try HeldSocket(address: "0.0.0.0")
        let state = try TemporaryDirectory()
        let refused = try DaemonProcess.launch(state: state, sockets: [tcp.descriptor])
        #expect(try refused.waitForEnd() == .exited(78))
        #expect(refused.errors.contains("0.0.0.0:\(tcp.port), which other machines can reach"), "\(refused.errors)")
        let allowed = try DaemonProcess(["ALLOW_INSECURE": "true"], state: state, sockets: [tcp.descriptor])
        #expect(try HTTPTestConnection(.port(tcp.port)).send("GET", "/livez").status == 200)
        try expectOrderlyEnd(allowed)
    }

    @Test func `SIGHUP does not open to everybody what only systemd names, either`() throws {
        let tcp = try HeldSocket(address: "0.0.0.0")
        let state = try TemporaryDirectory()
        let tokens = state.file("tokens")
        let made = try ChildProcess.run([try Programs.path("logboom"), "token", "new", "--file", tokens, "garage"])
        try #require(made.end == .exited(0), "\(made.errors)")
        let file = state.file("logboom.conf")
        let listen = "LISTEN=127.0.0.1:0\nSTATE_DIRECTORY=\(state.path)\nLOG_FORMAT=text\n"
        try "\(listen)TOKENS_FILE=\(tokens)\n".write(toFile: file, atomically: true, encoding: .utf8)
        let daemon = try DaemonProcess(fromFile: file, state: state, sockets: [tcp.descriptor])
        #expect(try HTTPTestConnection(.port(tcp.port)).send("GET", "/stats").status == 401)
        try listen.write(toFile: file, atomically: true, encoding: .utf8)
        daemon.hangUp()
        try daemon.waitForLog("TOKENS_FILE")
        #expect(try HTTPTestConnection(.port(tcp.port)).send("GET", "/stats").status == 401)
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
    }

    @Test func `an address wider than the one that systemd holds is refused with what to do`() throws {
        let tcp = try HeldSocket()
        let state = try TemporaryDirectory()
        let settings = ["LISTEN": "0.0.0.0:\(tcp.port)", "ALLOW_INSECURE": "true"]
        let refused = try DaemonProcess.launch(settings, state: state, sockets: [tcp.descriptor])
        #expect(try refused.waitForEnd() == .exited(69))
        #expect(refused.errors.contains("systemctl edit logboomd.socket"), "\(refused.errors)")
        #expect(refused.errors.contains("ListenStream=0.0.0.0:\(tcp.port)"), "\(refused.errors)")
    }

    @Test func `what is no listening socket is left alone, and the daemon starts`() throws {
        let state = try TemporaryDirectory()
        let file = open(state.file("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        let daemon = try DaemonProcess(state: state, sockets: [file])
        try daemon.waitForLog("is not one that listens: it is not used")
        try expectOrderlyEnd(daemon)
    }
}
