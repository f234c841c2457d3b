import Foundation
import PipelineTesting
import Testing

/// Libraries that are opened when they are needed (docs/decisions/0015-libraries-opened-when-needed.md).
@Suite struct LibraryTests {
    /// Names of the libraries that are mapped, as libpq.so.5.15.
    private func libraries(of daemon: DaemonProcess) throws -> Set<String> {
        // Foundation believes the size that /proc gives, which is 0.
        let maps = try ChildProcess.run(["/bin/cat", "/proc/\(daemon.child.processID)/maps"]).output
        return Set(
            maps.split(separator: "\n").compactMap { $0.split(separator: "/").last.map(String.init) }
                .filter { $0.contains(".so") }
        )
    }

    private func has(_ library: String, _ daemon: DaemonProcess) throws -> Bool {
        try libraries(of: daemon).contains { $0.hasPrefix(library) }
    }

    /// A folder in which a library of this name is found before the system's, and cannot be opened.
    private func broken(_ library: String) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        try "not a library".write(toFile: folder.file(library), atomically: true, encoding: .utf8)
        return folder
    }

    @Test func `without PostgreSQL and tokens neither libpq nor libcrypto is in memory`() throws {
        try withDaemon { daemon in
            try daemon.postRecords(3, level: "ERROR")
            #expect(try has("libsqlite3", daemon))
            #expect(try !has("libpq", daemon))
            #expect(try !has("libcrypto", daemon))
            #expect(try !has("libssl", daemon))
        }
    }

    @Test func `with PostgreSQL libpq is`() throws {
        try withDaemon(on: .postgres) { daemon in
            try daemon.postRecords(3, level: "ERROR")
            #expect(try has("libpq", daemon))
        }
    }

    @Test func `a libpq that cannot be opened is a PostgreSQL that is away, with the reason`() throws {
        let folder = try broken("libpq.so.5")
        let settings = [
            "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "POSTGRES_DB": "logboom", "POSTGRES_USER": "logboom",
            "LD_LIBRARY_PATH": folder.path,
        ]
        try withDaemon(settings) { daemon in
            // Answered by the spool's commit.
            try daemon.postRecords(5, level: "ERROR")
            let stats = try daemon.waitForStats("the store to be away") { $0.string("lanes.store.state") == "away" }
            #expect(stats.integer("records.accepted") == 5)
            #expect(try daemon.get("/livez").status == 200)
            #expect(daemon.log.contains("CONNECT: \(folder.file("libpq.so.5")): file too short"), "\(daemon.log)")
        }
    }

    @Test func `with tokens a libcrypto that cannot be opened ends the start with a sentence`() throws {
        let folder = try broken("libcrypto.so.3")
        let tokens = folder.file("tokens")
        let made = try ChildProcess.run([try Programs.path("logboom"), "token", "new", "garage", "--file", tokens])
        try #require(made.end == .exited(0), "\(made.errors)")
        let child = try DaemonProcess.launch(
            ["TOKENS_FILE": tokens, "LD_LIBRARY_PATH": folder.path],
            state: TemporaryDirectory()
        )
        #expect(try child.waitForEnd() == .exited(69))
        #expect(child.errors.contains("check tokens: libcrypto: "), "\(child.errors)")
        // Nor is one made that nobody could check.
        let another = try ChildProcess.run(
            [try Programs.path("logboom"), "token", "new", "cellar", "--file", tokens],
            environment: ["LD_LIBRARY_PATH": folder.path]
        )
        #expect(another.end == .exited(1))
        #expect(another.errors.contains("hash the token: libcrypto: "), "\(another.errors)")
        #expect(try !String(contentsOfFile: tokens, encoding: .utf8).contains("cellar"))
    }

    @Test func `without tokens nobody misses libcrypto`() throws {
        let folder = try broken("libcrypto.so.3")
        try withDaemon(["LD_LIBRARY_PATH": folder.path]) { daemon in
            try daemon.postRecords(1, level: "ERROR")
        }
    }
}
