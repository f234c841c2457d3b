import Foundation
import PipelineTesting
import Testing

/// Faults between the daemon and a PostgreSQL that keeps running.
@Suite struct PostgresFaultTests {
    /// One post and its delivery: what is counted through the proxy for each cut below.
    private func deliverOne(_ daemon: DaemonProcess) throws {
        try daemon.postRecords(3, level: "ERROR")
        try daemon.flush()
    }

    /// Bytes that cross for one delivery on an open session, from the daemon and from the server.
    private func cost(_ daemon: DaemonProcess, _ proxy: FaultProxy) throws -> (client: Int, server: Int) {
        try deliverOne(daemon)
        try daemon.waitUntilDelivered()
        let before = (proxy.clientByteCount, proxy.serverByteCount)
        try deliverOne(daemon)
        try daemon.waitUntilDelivered()
        return (proxy.clientByteCount - before.0, proxy.serverByteCount - before.1)
    }

    @Test func `a connection cut after COMMIT was sent, before its answer, is counted once`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let daemon = try DaemonProcess(database.settings(port: proxy.port))
        let cost = try cost(daemon, proxy)
        // CommandComplete "COMMIT" (12 bytes) and ReadyForQuery (6): all of it lost, half of it, its last byte.
        for missing in [18, 9, 1] {
            let applied = try database.total()
            proxy.cutAfter(serverBytes: cost.server - missing)
            try deliverOne(daemon)
            #expect(proxy.cutCount > 0)
            #expect(try database.total() == applied + 3, "the transaction was committed")
            try daemon.waitUntilDelivered()
            #expect(try database.total() == applied + 3, "and not counted again")
        }
        #expect(proxy.cutCount == 3)
        try expectOrderlyEnd(daemon)
    }

    @Test(arguments: [true, false])
    func `a connection cut anywhere in a delivery counts everything once`(_ fromClient: Bool) throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let daemon = try DaemonProcess(database.settings(port: proxy.port))
        let cost = try cost(daemon, proxy)
        let byteCount = fromClient ? cost.client : cost.server
        for part in 0..<8 {
            let position = byteCount * part / 8
            let cuts = proxy.cutCount
            if fromClient { proxy.cutAfter(clientBytes: position) } else { proxy.cutAfter(serverBytes: position) }
            try deliverOne(daemon)
            try daemon.waitUntilDelivered()
            #expect(proxy.cutCount == cuts + 1, "cut at byte \(position) of \(byteCount)")
        }
        let stats = try expectConservation(daemon)
        #expect(stats.integer("records.accepted") == 30)
        #expect(try database.total() == 30)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a wrong password is said, and works without a restart when its file is corrected`() throws {
        let database = try TestDatabase(.shared())
        let state = try TemporaryDirectory()
        let file = state.file("password")
        try "wrong-password\n".write(toFile: file, atomically: true, encoding: .utf8)
        let settings = database.settings(user: PostgresCluster.guardedUser)
            .merging(["POSTGRES_PASSWORD_FILE": file]) { $1 }
        let daemon = try DaemonProcess(settings, state: state)
        try daemon.postRecords(4)
        #expect(try daemon.flush().string("where") == "spool")
        let health = try daemon.get("/health")
        #expect(health.status == 200)
        #expect(health.string("status") == "degraded")
        #expect(health.string("database.last_error")?.contains("28P01") == true, "\(health.text)")
        #expect(!daemon.log.contains("wrong-password"))
        // Refused twice, it would be tried again after a quarter of a minute; a reload says that now is the time.
        try daemon.waitForStats("the second refusal") { ($0.integer("lanes.store.failures") ?? 0) >= 2 }
        try "\(PostgresCluster.guardedPassword)\n".write(toFile: file, atomically: true, encoding: .utf8)
        daemon.hangUp()
        try daemon.waitUntilDelivered(.seconds(8))
        #expect(try database.total() == 4)
        try expectOrderlyEnd(daemon)
    }

    @Test func `a PostgreSQL that swallows everything holds up neither senders nor the stop`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let daemon = try DaemonProcess(database.settings(port: proxy.port))
        try deliverOne(daemon)
        proxy.blackHole()
        let start = ContinuousClock.now
        let answer = try daemon.post("/ingest", #"{"message":"disk is on fire","level":"ERROR"}"#)
        #expect(answer.flag("durable") == true)
        #expect(ContinuousClock.now - start < .seconds(3), "a quarter of a second is the patience with PostgreSQL")
        try daemon.postRecords(5)
        for _ in 0..<2 {
            let health = try daemon.get("/health")
            #expect(health.status == 200)
            #expect(health.string("database.last_error")?.contains("TIMEOUT") == true, "\(health.text)")
        }
        try expectConservation(daemon)
        let stop = ContinuousClock.now
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
        #expect(ContinuousClock.now - stop < .seconds(5))
        #expect(daemon.log.contains("not waiting for a connection"), "the spool was closed in order: \(daemon.log)")
        proxy.restore()
        let next = try DaemonProcess(database.settings(port: proxy.port), state: daemon.state)
        try next.waitUntilDelivered()
        #expect(try database.total() == 9)
        try expectOrderlyEnd(next)
    }

    @Test func `sessions that an administrator ends are opened again`() throws {
        let database = try TestDatabase(.shared())
        let daemon = try DaemonProcess(database.settings())
        for round in 1...3 {
            try deliverOne(daemon)
            try daemon.waitUntilDelivered()
            #expect(try database.total() == round * 3)
            try database.cluster.query(
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(database.name)'"
            )
        }
        try deliverOne(daemon)
        try daemon.waitUntilDelivered()
        #expect(try database.total() == 12)
        try expectOrderlyEnd(daemon)
    }
}
