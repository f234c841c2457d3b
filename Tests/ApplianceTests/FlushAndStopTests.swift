import Foundation
import PipelineTesting
import Testing

/// `POST /flush`, SIGTERM, and what reaches the store by itself.
@Suite struct FlushAndStopTests {
    @Test(arguments: Store.allCases)
    func `flush answers when everything is in the store, with counts`(_ store: Store) throws {
        try withDaemon(on: store) { daemon in
            try daemon.postRecords(7)
            #expect(try daemon.get("/stats").integer("records.in_flight") == 7)
            let answer = try daemon.flush()
            #expect(answer.status == 200)
            #expect(answer.flag("durable") == true)
            #expect(answer.integer("flushed") == 7)
            #expect(answer.string("where") == store.rawValue)
            // A server slower than 250 ms has it in a moment; until then the spool does.
            try daemon.waitUntilDelivered()
            let again = try daemon.flush()
            #expect(again.flag("durable") == true)
            #expect(again.integer("flushed") == 0)
            let stats = try daemon.get("/stats")
            #expect(stats.integer("records.delivered") == 7)
            #expect(stats.integer("sealed.force") == 1)
        }
    }

    @Test func `flushes from many connections at once are all answered`() throws {
        try withDaemon(on: .postgres) { daemon in
            let connections = try (0..<20).map { _ in try HTTPTestConnection(daemon.address) }
            try daemon.postRecords(5)
            let request = Array("POST /flush HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".utf8)
            for connection in connections { try connection.write(request) }
            for connection in connections {
                let answer = try connection.readAnswer()
                #expect(answer.status == 200)
                #expect(answer.flag("durable") == true)
            }
            try daemon.waitUntilDelivered()
            #expect(try daemon.get("/stats").integer("records.delivered") == 5)
        }
    }

    @Test(arguments: Store.allCases)
    func `SIGTERM delivers what is open and ends with 0 within five seconds`(_ store: Store) throws {
        let database = try TestDatabase(.shared())
        let settings = store == .postgres ? database.settings() : [:]
        let daemon = try DaemonProcess(settings)
        try daemon.postRecords(11)
        let start = ContinuousClock.now
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(daemon.log.contains("11 delivered"), "\(daemon.log)")
        if store == .postgres { #expect(try database.total() == 11) }
        let next = try DaemonProcess(settings, state: daemon.state)
        #expect(try next.storedPatterns().map(\.count) == [11])
        try expectOrderlyEnd(next)
    }

    @Test func `a request half sent does not hold up the stop`() throws {
        let daemon = try DaemonProcess()
        try daemon.postRecords(3)
        let half = try HTTPTestConnection(daemon.address)
        try half.write(Array("POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"mess".utf8))
        let idle = try HTTPTestConnection(daemon.address)
        _ = try idle.send("GET", "/livez")
        let start = ContinuousClock.now
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test func `SIGTERM under load loses nothing that was acknowledged`() throws {
        let database = try TestDatabase(.shared())
        let daemon = try DaemonProcess(database.settings())
        let load = Load(daemon.port)
        try load.waitForAcknowledged(60)
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
        let outcome = try load.stop()
        expectCountedOnce(outcome, try database.totals())
    }

    @Test func `a batch is delivered by itself when its window ends or its size is reached`() throws {
        try withDaemon(["AGGREGATION_WINDOW": "1", "BATCH_SIZE": "10"]) { daemon in
            try daemon.postRecords(2)
            try daemon.waitForStats("a seal for time") { $0.integer("sealed.time") == 1 }
            try daemon.waitForStats("delivery") { $0.integer("records.delivered") == 2 }
            try daemon.postRecords(10)
            try daemon.waitForStats("a seal for size") { $0.integer("sealed.size") == 1 }
            try daemon.waitForStats("delivery") { $0.integer("records.delivered") == 12 }
        }
    }

    @Test(arguments: [
        ("error", "WARN", false), ("error", "ERROR", true), ("trace", "TRACE", true), ("off", "FATAL", false),
    ])
    func `a record at DURABLE_LEVEL or above is answered when it is in the store`(
        _ level: String,
        _ record: String,
        _ isDurable: Bool
    ) throws {
        try withDaemon(on: .postgres, ["DURABLE_LEVEL": level]) { daemon in
            let answer = try daemon.post("/ingest", #"{"message":"disk is warm","level":"\#(record)"}"#)
            #expect(answer.status == (isDurable ? 200 : 202))
            #expect(answer.flag("durable") == isDurable)
            if isDurable { try daemon.waitUntilDelivered() }
            #expect(try daemon.get("/stats").integer("records.delivered") == (isDurable ? 1 : 0))
        }
    }
}
