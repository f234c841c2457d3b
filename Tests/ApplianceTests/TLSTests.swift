import Foundation
import PipelineTesting
import Testing

/// TLS on the listener, with certificates that openssl(1) makes and curl(1) looks at.
@Suite struct TLSTests {
    /// An authority with what it vouches for, in a folder of its own.
    private struct Authority {
        let folder: TemporaryDirectory
        private let openssl: String

        /// `nil` where there is no openssl.
        init?() throws {
            guard let openssl = Programs.installed("openssl"), Programs.installed("curl") != nil else {
                print("skipped: no openssl or no curl in PATH")
                return nil
            }
            self.openssl = openssl
            folder = try TemporaryDirectory()
            try run(
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=authority",
                "-keyout",
                file("ca.key"),
                "-out",
                file("ca.pem")
            )
        }

        func file(_ name: String) -> String { folder.file(name) }
        var authority: String { file("ca.pem") }

        /// Makes NAME.pem and NAME.key, for 127.0.0.1.
        func issue(_ name: String, days: Int = 2) throws {
            try run(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=\(name)",
                "-keyout",
                file("\(name).key"),
                "-out",
                file("request")
            )
            try "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
                .write(toFile: file("extensions"), atomically: true, encoding: .utf8)
            try run(
                "x509",
                "-req",
                "-in",
                file("request"),
                "-CA",
                authority,
                "-CAkey",
                file("ca.key"),
                "-CAcreateserial",
                "-days",
                "\(days)",
                "-extfile",
                file("extensions"),
                "-out",
                file("\(name).pem")
            )
        }

        private func run(_ arguments: String...) throws {
            let result = try ChildProcess.run([openssl] + arguments)
            guard result.end == .exited(0) else { throw TestingError("openssl \(arguments[0]): \(result.errors)") }
        }

        func settings(_ name: String = "server", clients: Bool = false) -> [String: String] {
            [
                "TLS_CERTIFICATE": file("\(name).pem"), "TLS_KEY": file("\(name).key"),
                "TLS_CLIENT_CA": clients ? authority : "",
            ]
        }
    }

    /// A daemon that also listens with TLS, on loopback, and the port of that.
    private func daemon(
        _ settings: [String: String],
        state: TemporaryDirectory? = nil
    ) throws -> (daemon: DaemonProcess, url: String) {
        let state = try state ?? TemporaryDirectory()
        let listen = "127.0.0.1:0,tls:127.0.0.1:0,unix:\(state.file("logboom.sock"))"
        let daemon = try DaemonProcess(settings.merging(["LISTEN": listen]) { $1 }, state: state)
        let port = try #require(daemon.log.components(separatedBy: "tls:127.0.0.1:").last?.prefix { $0.isNumber })
        return (daemon, "https://127.0.0.1:\(port)")
    }

    private func curl(_ url: String, _ arguments: String...) throws -> (end: ChildProcess.End, output: String) {
        let program = try #require(Programs.installed("curl"))
        let result = try ChildProcess.run([program, "-sS", "--noproxy", "*", "-m", "10"] + arguments + [url])
        return (result.end, result.output + result.errors)
    }

    private func metric(_ daemon: DaemonProcess, _ name: String) throws -> Int? {
        try daemon.get("/metrics").text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    private static let record = #"{"message":"door open"}"#

    @Test func `records come in over TLS, one connection for many, and the plain port beside it stays plain`() throws {
        guard let authority = try Authority() else { return }
        try authority.issue("server")
        let (daemon, url) = try daemon(authority.settings())
        for version in ["--tlsv1.2", "--tlsv1.3"] {
            // Two addresses, so two requests.
            let (end, output) = try curl(
                url + "/ingest",
                "--cacert",
                authority.authority,
                version,
                "-d",
                Self.record,
                "-w",
                "%{http_code} ",
                url + "/ingest"
            )
            #expect(end == .exited(0), "\(output)")
            #expect(output.components(separatedBy: "202 ").count == 3, "\(output)")
        }
        #expect(try metric(daemon, "logboom_tls_handshakes_total") == 2, "the second post used the same connection")
        let old = try curl(
            url + "/livez",
            "--cacert",
            authority.authority,
            "--tls-max",
            "1.1",
            "--ciphers",
            "DEFAULT@SECLEVEL=0"
        )
        #expect(old.end != .exited(0), "TLS 1.1 is over")
        #expect(try curl(url + "/livez").end == .exited(60), "curl does not trust a stranger's authority")
        let plain = try curl(url.replacing("https", with: "http") + "/ingest", "-d", Self.record, "-w", "%{http_code}")
        #expect(plain.output.contains("This port speaks TLS: use https."), "\(plain.output)")
        #expect(plain.output.hasSuffix("400"))
        try Wait.until("three failures", holds: { try metric(daemon, "logboom_tls_handshake_failures_total") == 3 })
        let expiry = try #require(try metric(daemon, "logboom_tls_certificate_expiry_seconds"))
        #expect(abs(Double(expiry) - Date().timeIntervalSince1970 - 2 * 86_400) < 600)
        #expect(daemon.log.contains("server.pem expires in "), "\(daemon.log)")
        #expect(try daemon.get("/stats").integer("records.accepted") == 4)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a large body and a large answer pass whole, and a refusal reaches its sender`() throws {
        guard let authority = try Authority() else { return }
        try authority.issue("server")
        let (daemon, url) = try daemon(authority.settings().merging(["HTTP_BODY_LIMIT": "1M"]) { $1 })
        let file = authority.file("body")
        let records = Array(repeating: Self.record, count: 20_000).joined(separator: "\n")
        try records.write(toFile: file, atomically: true, encoding: .utf8)
        let type = "Content-Type: application/x-ndjson"
        let good = try curl(url + "/ingest", "--cacert", authority.authority, "-H", type, "--data-binary", "@\(file)")
        #expect(good.output.contains(#""accepted":20000"#), "\(good.output)")
        #expect(
            try curl(url + "/metrics", "--cacert", authority.authority).output.contains("logboom_process_open_files")
        )
        try (records + "\n" + records + "\n" + records).write(toFile: file, atomically: true, encoding: .utf8)
        let large = try curl(
            url + "/ingest",
            "--cacert",
            authority.authority,
            "-H",
            type,
            "-H",
            "Expect:",
            "--data-binary",
            "@\(file)"
        )
        #expect(large.output.contains(#""status":413"#), "\(large.output)")
        try expectOrderlyEnd(daemon)
    }

    @Test func `with an authority for clients only those with a certificate of it come in, and need no token`() throws {
        guard let authority = try Authority(), let other = try Authority() else { return }
        for name in ["server", "client", "old"] { try authority.issue(name, days: name == "old" ? -1 : 2) }
        try other.issue("client")
        let state = try TemporaryDirectory()
        // The address is one that other machines reach: a client certificate is what lets it be opened.
        let settings = authority.settings(clients: true)
            .merging(["LISTEN": "127.0.0.1:0,0.0.0.0:0,unix:\(state.file("logboom.sock"))"]) { $1 }
        let daemon = try DaemonProcess(settings, state: state)
        let port = try #require(daemon.log.components(separatedBy: "tls:0.0.0.0:").last?.prefix { $0.isNumber })
        func post(_ certificates: Authority, _ name: String?) throws -> String {
            let own =
                name.map { ["--cert", certificates.file("\($0).pem"), "--key", certificates.file("\($0).key")] } ?? []
            let program = try #require(Programs.installed("curl"))
            let arguments = ["-sS", "-m", "10", "--noproxy", "*", "--cacert", authority.authority, "-d", Self.record]
            return try ChildProcess.run([program] + arguments + own + ["https://127.0.0.1:\(port)/ingest"]).output
        }
        #expect(try post(authority, "client").contains(#""accepted":1"#))
        #expect(try post(authority, nil).isEmpty)
        #expect(try post(authority, "old").isEmpty, "expired")
        #expect(try post(other, "client").isEmpty, "of a stranger's authority")
        #expect(try daemon.get("/stats").integer("records.accepted") == 1)
        try expectOrderlyEnd(daemon)
    }

    @Test func `an expired certificate does not stop the daemon, is said everywhere, and is not taken by SIGHUP`()
        throws
    {
        guard let authority = try Authority() else { return }
        for (name, days) in [("server", -1), ("old", -1), ("new", 30)] { try authority.issue(name, days: days) }
        let (daemon, url) = try daemon(authority.settings())
        #expect(daemon.log.contains("expired 1 day ago: renew it, and reload"), "\(daemon.log)")
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(60))
        #expect(try curl(url + "/livez", "-k").end == .exited(0))
        #expect(try daemon.get("/health").text.contains("the certificate expired"))
        func install(_ name: String) throws {
            for ending in ["pem", "key"] {
                let path = authority.file("server.\(ending)")
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.copyItem(atPath: authority.file("\(name).\(ending)"), toPath: path)
            }
        }
        try install("new")
        daemon.hangUp()
        try daemon.waitForLog("certificate read again")
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(0))
        #expect(try daemon.get("/health").string("status") == "healthy")
        try install("old")
        daemon.hangUp()
        try daemon.waitForLog("the old certificate stays: the certificate")
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(0))
        try expectOrderlyEnd(daemon)
    }

    @Test func `SIGHUP puts a renewed certificate in force, a broken one keeps the old, and connections stay`() throws {
        guard let authority = try Authority() else { return }
        try authority.issue("server")
        try authority.issue("new", days: 30)
        let (daemon, url) = try daemon(authority.settings())
        func expiry() throws -> Int { try #require(try metric(daemon, "logboom_tls_certificate_expiry_seconds")) }
        let first = try expiry()
        func install(_ name: String, as target: String) throws {
            let path = authority.file(target)
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.copyItem(atPath: authority.file(name), toPath: path)
        }
        try install("new.pem", as: "server.pem")
        daemon.hangUp()
        try daemon.waitForLog("the old certificate stays: the key")
        #expect(daemon.log.contains("is not that of the certificate"), "\(daemon.log)")
        #expect(try expiry() == first)
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(0))
        try install("new.key", as: "server.key")
        daemon.hangUp()
        try daemon.waitForLog("certificate read again")
        #expect(try expiry() > first)
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(0))
        try expectOrderlyEnd(daemon)
    }

    @Test func `a certificate that cannot be used ends the start with 78 and says what to do`() throws {
        guard let authority = try Authority() else { return }
        for name in ["server", "other"] { try authority.issue(name) }
        try "no PEM".write(toFile: authority.file("text"), atomically: true, encoding: .utf8)
        chmod(authority.file("text"), 0o600)
        func errors(_ certificate: String, _ key: String, _ more: [String: String] = [:]) throws -> String {
            var settings = ["TLS_CERTIFICATE": authority.file(certificate), "TLS_KEY": authority.file(key)]
            settings["LISTEN"] = "tls:127.0.0.1:0"
            let child = try DaemonProcess.launch(settings.merging(more) { $1 }, state: TemporaryDirectory())
            #expect(try child.waitForEnd() == .exited(78))
            return child.errors
        }
        #expect(try errors("server.pem", "other.key").contains("is not that of the certificate"))
        #expect(try errors("text", "server.key").contains("holds no certificate in PEM form"))
        #expect(try errors("server.pem", "text").contains("holds no private key in PEM form"))
        #expect(try errors("none", "server.key").contains("read \(authority.file("none")): No such file or directory"))
        #expect(
            try errors("server.pem", "server.key", ["TLS_CLIENT_CA": authority.file("text")])
                .contains("authority of client certificates")
        )
        chmod(authority.file("server.key"), 0o644)
        #expect(try errors("server.pem", "server.key").contains("can be read by every user"))
        #expect(try errors("server.pem", "server.key", ["TLS_KEY": ""]).contains("needs TLS_CERTIFICATE and TLS_KEY"))
    }

    @Test func `a client that never begins its handshake, or sends rubbish, costs nobody else anything`() throws {
        guard let authority = try Authority() else { return }
        try authority.issue("server")
        let (daemon, url) = try daemon(authority.settings())
        let port = try #require(url.split(separator: ":").last.flatMap { Int($0) })
        let silent = try HTTPTestConnection(.port(port))
        let broken = try HTTPTestConnection(.port(port))
        try broken.write((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 37) })
        #expect(throws: (any Error).self) { try broken.readAnswer() }
        #expect(try curl(url + "/livez", "--cacert", authority.authority).end == .exited(0))
        // Ten seconds of patience: the server ends it.
        #expect(throws: (any Error).self) { try silent.readAnswer() }
        try Wait.until("both failures", holds: { try metric(daemon, "logboom_tls_handshake_failures_total") == 2 })
        try expectOrderlyEnd(daemon)
    }
}
