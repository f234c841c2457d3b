import Foundation
import PipelineTesting
import Testing

/// Serialized: the tests stop and start one server.
@Suite(.serialized)
struct PostgresOutageTests {
    private static let clusterResult = Result { try PostgresCluster.start() }

    /// A server that these tests may stop, running.
    private func cluster() throws -> PostgresCluster {
        try Self.clusterResult.get()
    }

    @Test func `a daemon that starts without PostgreSQL delivers everything when it comes`() throws {
        let cluster = try cluster()
        let database = try TestDatabase(cluster)
        try cluster.stop(mode: .fast)
        let daemon: DaemonProcess
        do {
            defer { try? cluster.start() }
            daemon = try DaemonProcess(database.settings())
            try daemon.postRecords(40)
            try daemon.postRecords(2, message: "disk is on fire", level: "ERROR")
            let health = try daemon.get("/health")
            #expect(health.status == 200)
            #expect(health.string("status") == "degraded")
            #expect(health.string("database.state") == "away")
            #expect(try daemon.get("/health/db").status == 503)
            #expect(try daemon.get("/readyz").status == 200)
            let stats = try expectConservation(daemon)
            #expect(stats.integer("records.accepted") == 42)
            #expect(stats.integer("records.delivered") == 0)
        }
        // What was below DURABLE_LEVEL may still be open: the window of these tests is an hour.
        #expect(try daemon.flush().flag("durable") == true)
        try daemon.waitUntilDelivered()
        #expect(try database.total() == 42)
        try Wait.until("/health to be healthy", holds: { try daemon.get("/health").string("status") == "healthy" })
        try expectOrderlyEnd(daemon)
        #expect(try database.total() == 42)
    }

    @Test func `with nothing to write the health report says all the same why PostgreSQL is away`() throws {
        let cluster = try cluster()
        let database = try TestDatabase(cluster)
        let daemon = try DaemonProcess(database.settings())
        try daemon.postRecords(1, level: "ERROR")
        try daemon.waitUntilDelivered()
        #expect(try daemon.get("/health").string("database.last_error") == "")
        try cluster.stop(mode: .fast)
        do {
            defer { try? cluster.start() }
            try Wait.until("/health to see it") { try daemon.get("/health").string("status") == "degraded" }
            #expect(try daemon.get("/stats").integer("lanes.store.failures") == 0)
            // The server is a socket here, and nobody holds it any more.
            let reason = try daemon.get("/health/db").string("last_error")
            #expect(reason?.contains("CONNECT: ") == true, "\(reason ?? "none")")
            #expect(try daemon.get("/health").text.contains("batches go to the spool. connect in PostgreSQL"))
        }
        try Wait.until("/health to be well") { try daemon.get("/health").string("status") == "healthy" }
        #expect(try daemon.get("/health/db").string("last_error") == "")
        try expectOrderlyEnd(daemon)
    }

    @Test(arguments: [PostgresCluster.StopMode.fast, .immediate])
    func `PostgreSQL stopped under load costs no count and repeats none`(_ mode: PostgresCluster.StopMode) throws {
        let cluster = try cluster()
        let database = try TestDatabase(cluster)
        let daemon = try DaemonProcess(database.settings().merging(["BATCH_SIZE": "100"]) { $1 })
        let load = Load(daemon.port)
        try load.waitForAcknowledged(50)
        try cluster.stop(mode: mode)
        do {
            defer { try? cluster.start() }
            try load.waitForAcknowledged(100)
            let stats = try expectConservation(daemon)
            #expect(stats.string("lanes.store.state") == "away")
        }
        let back = ContinuousClock.now
        try daemon.waitForStats("a write after the return") { $0.string("lanes.store.state") == "up" }
        // The promise is a second; a loaded test machine gets three.
        #expect(ContinuousClock.now - back < .seconds(3))
        try load.waitForAcknowledged(50)
        let outcome = try load.stop()
        try daemon.flush()
        let stats = try daemon.waitUntilDelivered()
        #expect(outcome.undecided.isEmpty)
        expectCountedOnce(outcome, try database.totals())
        #expect(stats.integer("records.accepted") == outcome.acknowledged.count * Load.recordsPerRequest)
        #expect(try database.total() == stats.integer("records.accepted"))
        try expectOrderlyEnd(daemon)
    }

    @Test func `records that must be durable are answered from the spool while PostgreSQL is away`() throws {
        let cluster = try cluster()
        let database = try TestDatabase(cluster)
        let daemon = try DaemonProcess(database.settings())
        try daemon.postRecords(1, level: "ERROR")
        // In the spool when the server took longer than a sender is kept waiting.
        let spooled = try daemon.waitUntilDelivered().integer("records.spooled")
        #expect(try database.total() == 1)
        try cluster.stop(mode: .immediate)
        do {
            defer { try? cluster.start() }
            let start = ContinuousClock.now
            let answer = try daemon.post("/ingest", #"{"message":"disk is on fire","level":"ERROR"}"#)
            #expect(answer.status == 200)
            #expect(answer.flag("durable") == true)
            #expect(ContinuousClock.now - start < .seconds(3))
            #expect(try expectConservation(daemon).integer("records.spooled") == (spooled ?? 0) + 1)
        }
        try daemon.waitUntilDelivered()
        #expect(try database.total() == 2)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a stop while PostgreSQL is away leaves everything in the spool, and the next start delivers it`() throws
    {
        let cluster = try cluster()
        let database = try TestDatabase(cluster)
        try cluster.stop(mode: .fast)
        let state: TemporaryDirectory
        do {
            defer { try? cluster.start() }
            let daemon = try DaemonProcess(database.settings())
            state = daemon.state
            try daemon.postRecords(30)
            let start = ContinuousClock.now
            #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
            #expect(ContinuousClock.now - start < .seconds(5))
            // Again away: what was spooled is seen, and stays.
            let second = try DaemonProcess(database.settings(), state: state)
            let stats = try expectConservation(second)
            #expect(stats.integer("records.recovered") == 30)
            #expect(stats.integer("records.spooled") == 30)
            try second.postRecords(5)
            try expectOrderlyEnd(second)
        }
        let third = try DaemonProcess(database.settings(), state: state)
        try third.waitUntilDelivered()
        #expect(try database.total() == 35)
        try expectOrderlyEnd(third)
    }
}
