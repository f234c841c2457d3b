import Foundation
import PipelineTesting
import Testing

/// The front door: who gets in, as curl and the command line see it.
@Suite struct AccessTests {
    private struct Answer {
        var status: Int
        var text: String

        func header(_ name: String) -> String? {
            text.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix(name + ": ") }
                .map { String($0.dropFirst(name.count + 2)) }
        }
    }

    /// What curl gets, headers included.
    private func curl(_ url: String, _ arguments: String...) throws -> Answer {
        let program = try #require(Programs.installed("curl"))
        let result = try ChildProcess.run([program, "-sS", "-i", "--noproxy", "*", "-m", "10"] + arguments + [url])
        let status = result.output.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return Answer(status: try #require(status, "\(result.errors)\(result.output)"), text: result.output)
    }

    private func logboom(
        _ arguments: String...,
        environment: [String: String] = [:]
    ) throws -> (end: ChildProcess.End, output: String, errors: String) {
        try ChildProcess.run([try Programs.path("logboom")] + arguments, environment: environment)
    }

    /// Makes a token by the command that the daemon's own messages name.
    private func newToken(_ file: String, _ arguments: String...) throws -> String {
        let program = try Programs.path("logboom")
        let result = try ChildProcess.run([program, "token", "new", "--file", file] + arguments)
        try #require(result.end == .exited(0), "\(result.errors)")
        return result.output.trimmingCharacters(in: .newlines)
    }

    private static let record = #"{"message":"door open","source":"said"}"#

    /// With tokens, `/stats` is asked for over the unix socket.
    private func end(_ daemon: DaemonProcess) throws {
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
    }

    // MARK: Tokens

    @Test
    func `with a tokens file strangers get 401, a token gets what its scopes say, and the process may be seen to live`()
        throws
    {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        let sender = try newToken(file, "garage")
        let reader = try newToken(file, "grafana", "--scope", "read")
        let admin = try newToken(file, "me", "--scope", "admin")
        #expect(Set([sender, reader, admin]).count == 3)
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        let base = "http://127.0.0.1:\(daemon.port)"
        func status(_ path: String, _ token: String, post: Bool = false) throws -> Int {
            let data = post ? ["-d", Self.record] : []
            let program = try #require(Programs.installed("curl"))
            let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Authorization: Bearer \(token)"]
            return Int(try ChildProcess.run([program] + arguments + data + [base + path]).output) ?? -1
        }

        let missing = try curl(base + "/ingest", "-d", Self.record)
        #expect(missing.status == 401)
        #expect(missing.header("www-authenticate") == #"Bearer realm="logboom""#)
        #expect(missing.text.contains("Authorization: Bearer TOKEN"))
        let unknown = try curl(base + "/stats", "-H", "Authorization: Bearer \(sender)x")
        #expect(unknown.status == 401)
        #expect(unknown.header("www-authenticate")?.contains(#"error="invalid_token""#) == true)
        let scope = try curl(base + "/stats", "-H", "Authorization: Bearer \(sender)")
        #expect(scope.status == 403)
        #expect(scope.header("www-authenticate")?.contains(#"error="insufficient_scope", scope="read""#) == true)
        #expect(try curl(base + "/there-is-no-such-thing").status == 401, "what there is here is not for strangers")
        #expect(try curl(base + "/livez").status == 200)

        for token in [sender, admin] { #expect(try status("/ingest", token, post: true) == 202) }
        for path in ["/stats", "/metrics", "/health", "/health/db", "/readyz", "/v1/patterns", "/v1/dead-letters"] {
            #expect(try status(path, reader) == 200, "\(path)")
            #expect(try status(path, admin) == 200, "\(path)")
            #expect(try status(path, sender) == 403, "\(path)")
        }
        #expect(try status("/ingest", reader, post: true) == 403)
        for token in [sender, reader] { #expect(try status("/flush", token, post: true) == 403) }
        #expect(try status("/flush", admin, post: true) == 200)
        #expect(try status("/nothing", admin) == 404)

        let stats = try HTTPTestConnection(.unix(path: daemon.socketPath)).send("GET", "/stats")
        #expect(stats.status == 200, "the socket's mode is its check")
        #expect(stats.integer("records.accepted") == 2)
        #expect(stats.integer("denied.token_missing") == 2)
        #expect(stats.integer("denied.token_unknown") == 1)
        #expect(stats.integer("denied.scope") == 11)
        let metrics = try HTTPTestConnection(.unix(path: daemon.socketPath)).send("GET", "/metrics").text
        #expect(metrics.contains(#"logboom_http_denied_total{reason="scope"} 11"#), "\(metrics)")
        try end(daemon)
        for token in [sender, reader, admin] {
            #expect(!daemon.log.contains(token))
            #expect(!(try String(contentsOfFile: file, encoding: .utf8).contains(token)), "the file has hashes only")
        }
    }

    @Test func `a revoked token is out after SIGHUP, a new one is in, and a broken file keeps those there were`() throws
    {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        let old = try newToken(file, "old")
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        func status(_ token: String) throws -> Int {
            let headers = ["Authorization": "Bearer \(token)"]
            return try daemon.request("POST", "/ingest", Array(Self.record.utf8), headers: headers).status
        }
        #expect(try status(old) == 202)
        let new = try newToken(file, "new")
        #expect(try status(new) == 401)
        #expect(try logboom("token", "revoke", "old", "--file", file).end == .exited(0))
        daemon.hangUp()
        try daemon.waitForLog("applied TOKENS_FILE")
        #expect(try status(old) == 401)
        #expect(try status(new) == 202)

        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data("new line of nonsense\n".utf8))
        daemon.hangUp()
        try daemon.waitForLog("the old one stays")
        #expect(daemon.log.contains("\(file):"), "\(daemon.log)")
        #expect(try status(new) == 202)
        try end(daemon)
    }

    @Test
    func
        `a token with a source gives it to every record, and one with a rate is asked to wait before its body is read`()
        throws
    {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        let token = try newToken(file, "kitchen", "--source", "kitchen-pi", "--rate", "1", "--burst", "10")
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        let headers = ["Authorization": "Bearer \(token)"]
        let body = "[" + Array(repeating: Self.record, count: 30).joined(separator: ",") + "]"
        let first = try daemon.request("POST", "/ingest", Array(body.utf8), headers: headers)
        #expect(first.status == 202)
        #expect(first.integer("accepted") == 30)
        // Twenty-one records too many at one a second.
        let second = try daemon.request("POST", "/ingest", Array("no JSON".utf8), headers: headers)
        #expect(second.status == 429, "not 400: nobody looked at the body")
        let seconds = try #require(second.headers["retry-after"].flatMap { Int($0) })
        #expect((15...21).contains(seconds))
        let socket = HTTPTestAddress.unix(path: daemon.socketPath)
        let stats = try HTTPTestConnection(socket).send("GET", "/stats")
        #expect(stats.integer("refused") == 1)
        #expect(stats.integer("received") == 31)
        _ = try HTTPTestConnection(socket).send("POST", "/flush")
        let patterns = try HTTPTestConnection(socket).send("GET", "/v1/patterns")
        #expect(patterns.string("patterns.0.source") == "kitchen-pi")
        #expect(patterns.integer("patterns.0.count") == 30)
        try end(daemon)
    }

    @Test func `two senders with tokens of their own may choose the same Idempotency-Key`() throws {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        let tokens = [try newToken(file, "a"), try newToken(file, "b")]
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        for _ in 0..<2 {
            for token in tokens {
                let headers = ["Authorization": "Bearer \(token)", "Idempotency-Key": "1"]
                let answer = try daemon.request("POST", "/ingest", Array(Self.record.utf8), headers: headers)
                #expect(answer.integer("accepted") == 1)
            }
        }
        let stats = try HTTPTestConnection(.unix(path: daemon.socketPath)).send("GET", "/stats")
        #expect(stats.integer("records.accepted") == 2)
        try end(daemon)
    }

    @Test func `a tokens file that others may read or change, or that is not there, ends the start with what to do`()
        throws
    {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        func failedStart() throws -> String {
            let child = try DaemonProcess.launch(["TOKENS_FILE": file], state: state)
            #expect(try child.waitForEnd() == .exited(78))
            return child.errors
        }
        #expect(try failedStart().contains("logboom token new NAME --file \(file)"))
        _ = try newToken(file, "a")
        for mode: mode_t in [0o644, 0o620, 0o602] {
            chmod(file, mode)
            let errors = try failedStart()
            #expect(errors.contains("mode \(String(mode, radix: 8))") && errors.contains("chmod 640"), "\(errors)")
        }
        chmod(file, 0o640)
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        try end(daemon)
    }

    @Test func `the command line shows its token from a file, and says where one is missing`() throws {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        let secret = state.file("mine")
        try (newToken(file, "me", "--scope", "admin") + "\n").write(toFile: secret, atomically: true, encoding: .utf8)
        let daemon = try DaemonProcess(["TOKENS_FILE": file], state: state)
        let url = "http://127.0.0.1:\(daemon.port)"
        let without = try logboom("flush", "--url", url)
        #expect(without.end == .exited(1))
        #expect(without.errors.contains("--token-file"), "\(without.errors)")
        #expect(try logboom("flush", "--url", url, "--token-file", secret).end == .exited(0))
        #expect(try logboom("top", "--url", url, environment: ["LOGBOOM_TOKEN_FILE": secret]).end == .exited(0))
        let broken = try logboom("top", "--url", url, "--token-file", state.file("none"))
        #expect(broken.end == .exited(64))
        #expect(broken.errors.contains("there is no such file"), "\(broken.errors)")
        try end(daemon)
    }

    @Test func `token list shows names and rights, and a name is given once`() throws {
        let state = try TemporaryDirectory()
        let file = state.file("tokens")
        #expect(try logboom("token", "list", "--file", file).end == .exited(1))
        let token = try newToken(file, "a", "--scope", "ingest", "--scope", "read", "--rate", "5")
        #expect(token.hasPrefix("lbt_") && token.count == 47)
        let again = try logboom("token", "new", "a", "--file", file)
        #expect(again.end == .exited(1))
        #expect(again.errors.contains("there is a token called a"))
        let list = try logboom("token", "list", "--file", file)
        #expect(list.output.contains("a     ingest,read  -       5/s   50"), "\(list.output)")
        let json = try logboom("token", "list", "--json", "--file", file).output
        #expect(
            json == #"{"tokens":[{"name":"a","scopes":["ingest","read"],"source":null,"rate":5,"burst":50}]}"# + "\n"
        )
        #expect(try logboom("token", "revoke", "b", "--file", file).end == .exited(1))
        #expect(try logboom("token", "new", "a b", "--file", file).end == .exited(64))
        var status = stat()
        #expect(stat(file, &status) == 0 && status.st_mode & 0o027 == 0)
        // A configuration that is not whole without the file still says where the file belongs.
        let configured = state.file("logboom.conf")
        let other = state.file("other")
        try "TOKENS_FILE=\(other)\nLISTEN=0.0.0.0:8004\n".write(toFile: configured, atomically: true, encoding: .utf8)
        #expect(try logboom("token", "new", "x", "--config", configured).end == .exited(0))
        #expect(FileManager.default.fileExists(atPath: other))
    }

    // MARK: Listening

    @Test func `an address other machines reach is refused with three ways out, and served with a tokens file`() throws
    {
        let state = try TemporaryDirectory()
        let child = try DaemonProcess.launch(["LISTEN": "0.0.0.0:0"], state: state)
        #expect(try child.waitForEnd() == .exited(78))
        for part in ["LISTEN", "0.0.0.0:0", "logboom token new NAME --file", "TOKENS_FILE=", "ALLOW_INSECURE=true"] {
            #expect(child.errors.contains(part), "\(child.errors)")
        }
        let file = state.file("tokens")
        let token = try newToken(file, "garage")
        let daemon = try DaemonProcess(["LISTEN": "127.0.0.1:0,0.0.0.0:0", "TOKENS_FILE": file], state: state)
        let port = try #require(daemon.log.split(separator: "0.0.0.0:").last?.prefix { $0.isNumber })
        let url = "http://127.0.0.1:\(port)/ingest"
        #expect(try curl(url, "-d", Self.record).status == 401)
        #expect(try curl(url, "-d", Self.record, "-H", "Authorization: Bearer \(token)").status == 202)
        try end(daemon)
    }

    @Test func `without tokens a page whose name leads here gets 421, and another site's page may not post`() throws {
        try withDaemon(["HOST_NAMES": "pi.lan, Pi"]) { daemon in
            let base = "http://127.0.0.1:\(daemon.port)"
            for host in ["localhost", "127.0.0.1", "[::1]:8004", "PI", "pi.lan:8004"] {
                #expect(try curl(base + "/stats", "-H", "Host: \(host)").status == 200, "\(host)")
            }
            for host in ["attacker.example", "127.0.0.1.attacker.example:8004"] {
                #expect(try curl(base + "/v1/patterns", "-H", "Host: \(host)").status == 421, "\(host)")
                #expect(try curl(base + "/ingest", "-H", "Host: \(host)", "-d", Self.record).status == 421, "\(host)")
                #expect(try curl(base + "/livez", "-H", "Host: \(host)").status == 200)
            }
            let post = ["-d", Self.record, "-H"]
            #expect(
                try curl(base + "/ingest", post[0], post[1], "-H", "Origin: https://attacker.example").status == 403
            )
            #expect(try curl(base + "/ingest", post[0], post[1], "-H", "Sec-Fetch-Site: cross-site").status == 403)
            #expect(try curl(base + "/ingest", post[0], post[1], "-H", "Origin: \(base)").status == 202)
            let stats = try daemon.get("/stats")
            #expect(stats.integer("denied.host") == 4)
            #expect(stats.integer("denied.cross_site") == 2)
            #expect(stats.integer("records.accepted") == 1)
        }
    }

    @Test func `what a kept connection was granted ends with the policy, though its requests stay the same`() throws {
        let folder = try TemporaryDirectory()
        let file = folder.file("logboom.conf")
        let state = try TemporaryDirectory()
        let common = "LISTEN=127.0.0.1:0\nSTATE_DIRECTORY=\(state.path)\nLOG_FORMAT=text\n"
        func write(_ text: String) throws { try (common + text).write(toFile: file, atomically: true, encoding: .utf8) }
        try write("HOST_NAMES=pi.lan\n")
        let daemon = try DaemonProcess(fromFile: file, state: state)
        let client = try HTTPTestConnection(.port(daemon.port))
        let body = Self.record
        let request = "POST /ingest HTTP/1.1\r\nHost: pi.lan\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        func status() throws -> Int {
            try client.write(Array(request.utf8))
            return try client.readAnswer().status
        }
        for _ in 0..<4 { #expect(try status() == 202) }
        let tokens = state.file("tokens")
        let token = try newToken(tokens, "garage")
        try write("TOKENS_FILE=\(tokens)\n")
        daemon.hangUp()
        try daemon.waitForLog("configuration read again")
        for _ in 0..<4 { #expect(try status() == 401) }
        #expect(
            try daemon.request("POST", "/ingest", Array(body.utf8), headers: ["Authorization": "Bearer \(token)"])
                .status
                == 202
        )
        try write("")
        daemon.hangUp()
        try Wait.until("the name to be a stranger's", .seconds(15), holds: { try status() == 421 })
        try end(daemon)
    }

    @Test func `the unix socket is for its user and group, and outlives neither a kill nor a second daemon`() throws {
        let state = try TemporaryDirectory()
        let first = try DaemonProcess(state: state)
        var status = stat()
        #expect(stat(first.socketPath, &status) == 0 && status.st_mode & 0o777 == 0o660)
        let other = try TemporaryDirectory()
        let second = try DaemonProcess.launch(["LISTEN": "127.0.0.1:0,unix:\(first.socketPath)"], state: other)
        #expect(try second.waitForEnd() == .exited(69))
        #expect(second.errors.contains("another process listens there"), "\(second.errors)")
        #expect(try HTTPTestConnection(.unix(path: first.socketPath)).send("GET", "/livez").status == 200)
        first.kill9()
        #expect(FileManager.default.fileExists(atPath: first.socketPath), "nobody cleans up after a kill")
        let third = try DaemonProcess(state: state)
        #expect(try HTTPTestConnection(.unix(path: third.socketPath)).send("GET", "/livez").status == 200)
        try expectOrderlyEnd(third)
    }

    @Test func `a missing folder is made for the socket, and a file in its place is left alone`() throws {
        let state = try TemporaryDirectory()
        let path = state.file("run/logboom.sock")
        let daemon = try DaemonProcess(["LISTEN": "127.0.0.1:0,unix:\(path)"], state: state)
        #expect(try HTTPTestConnection(.unix(path: path)).send("GET", "/livez").status == 200)
        try expectOrderlyEnd(daemon)
        let precious = state.file("precious")
        try "data".write(toFile: precious, atomically: true, encoding: .utf8)
        let child = try DaemonProcess.launch(["LISTEN": "127.0.0.1:0,unix:\(precious)"], state: state)
        #expect(try child.waitForEnd() == .exited(69))
        #expect(child.errors.contains("a file that is no socket is in the way"), "\(child.errors)")
        #expect(try String(contentsOfFile: precious, encoding: .utf8) == "data")
    }
}
