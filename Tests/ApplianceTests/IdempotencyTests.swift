import Foundation
import JSONBytes
import PipelineTesting
import Testing

/// A request that is sent again under its `Idempotency-Key`, because its answer did not come, counts once.
@Suite struct IdempotencyTests {
    private static let body = #"{"logs":[{"message":"the pump failed","level":"error"},{"message":"the pump is on"}]}"#

    private func post(_ daemon: DaemonProcess, key: String, body: String = body) throws -> HTTPTestAnswer {
        let headers = ["Content-Type": "application/json", "Idempotency-Key": key]
        return try daemon.request("POST", "/ingest", Array(body.utf8), headers: headers)
    }

    @Test func `a request sent again is answered again and counted once`() throws {
        try withDaemon { daemon in
            let first = try post(daemon, key: "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"")
            #expect(first.status == 200 && first.integer("accepted") == 2 && first.integer("durable") == 2)
            for key in ["8e03978e-40d5-43e8-bc93-6894a57f9324", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\""] {
                let again = try post(daemon, key: key)
                #expect(again.status == 200 && again.integer("accepted") == 2)
                #expect(again.headers["idempotent-replayed"] == "true")
            }
            #expect(try post(daemon, key: "another").integer("accepted") == 2)
            #expect(try daemon.storedPatterns().map(\.count).sorted() == [2, 2])
        }
    }

    @Test func `a key with another body, and what is no key, are told so and cost nothing`() throws {
        try withDaemon { daemon in
            _ = try post(daemon, key: "one")
            #expect(try post(daemon, key: "one", body: #"{"message":"other"}"#).status == 422)
            for key in ["\"\"", "\"half", "in\"side", "has blanks", String(repeating: "k", count: 300)] {
                #expect(try post(daemon, key: key).status == 400, "\(key.prefix(20))")
            }
            // Broken JSON was not taken in, so its key is free.
            #expect(try post(daemon, key: "two", body: "{").status == 400)
            #expect(try post(daemon, key: "two").status == 200)
            #expect(try daemon.storedPatterns().map(\.count).sorted() == [2, 2])
        }
    }

    /// At the sink, and in the spool when PostgreSQL is away: the name of the batch is the request's.
    @Test(arguments: [Store.embedded, .postgres])
    func `a request sent again to the next process counts once, killed in between or not`(_ store: Store) throws {
        let state = try TemporaryDirectory()
        var settings = ["STATE_DIRECTORY": state.path]
        let database = store == .postgres ? try TestDatabase(.shared()) : nil
        if let database { settings.merge(database.settings()) { given, _ in given } }
        for round in 0..<4 {
            let daemon = try DaemonProcess(settings)
            for key in 0...round { #expect(try post(daemon, key: "key-\(key)").status == 200, "round \(round)") }
            if round % 2 == 0 { daemon.kill9() } else { _ = try daemon.terminate() }
        }
        let daemon = try DaemonProcess(settings)
        #expect(try daemon.storedPatterns().map(\.count).sorted() == [4, 4])
        #expect(try daemon.terminate() == .exited(0))
    }

    @Test func `a request sent again while it waits in the spool counts once`() throws {
        let state = try TemporaryDirectory()
        let server = try PostgresCluster.start()
        let database = try TestDatabase(server)
        var settings = ["STATE_DIRECTORY": state.path]
        settings.merge(database.settings()) { given, _ in given }
        try server.stop(mode: .fast)
        for round in 0..<3 {
            let daemon = try DaemonProcess(settings)
            let answer = try post(daemon, key: "the-one")
            #expect(answer.status == 200 && (answer.flag("repeated") ?? false) == (round > 0))
            daemon.kill9()
        }
        try server.start()
        let daemon = try DaemonProcess(settings)
        try daemon.waitForStats("an empty spool") { $0.integer("records.spooled") == 0 }
        #expect(try post(daemon, key: "the-one").status == 200)
        #expect(try daemon.storedPatterns().map(\.count).sorted() == [1, 1])
        #expect(try daemon.terminate() == .exited(0))
    }

    @Test func `many senders that repeat each request at once count each once`() throws {
        try withDaemon(on: .postgres) { daemon in
            let address = daemon.address
            DispatchQueue.concurrentPerform(iterations: 8) { _ in
                guard let connection = try? HTTPTestConnection(address) else { return }
                for number in 0..<50 {
                    let headers = ["Content-Type": "application/json", "Idempotency-Key": "request-\(number)"]
                    _ = try? connection.send("POST", "/ingest", Array(Self.body.utf8), headers: headers)
                }
            }
            _ = try daemon.post("/flush")
            #expect(try daemon.storedPatterns().map(\.count).sorted() == [50, 50])
        }
    }
}
