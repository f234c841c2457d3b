import Foundation
import PipelineTesting
import Testing

/// kill -9 at the worst moments.
@Suite struct CrashTests {
    @Test func `with everything durable, kill -9 under load loses and repeats no acknowledged record`() throws {
        let database = try TestDatabase(.shared())
        let settings = database.settings().merging(["DURABLE_LEVEL": "trace"]) { $1 }
        var outcome = Load.Outcome()
        let state = try TemporaryDirectory()
        for round in 1...3 {
            let daemon = try DaemonProcess(settings, state: state)
            let load = Load(daemon.port, prefix: "round\(round)-")
            try load.waitForAcknowledged(40)
            daemon.kill9()
            let part = try load.stop()
            outcome.acknowledged += part.acknowledged
            outcome.undecided += part.undecided
            outcome.strange += part.strange
        }
        let last = try DaemonProcess(settings, state: state)
        try last.waitUntilDelivered()
        expectCountedOnce(outcome, try database.totals())
        try expectOrderlyEnd(last)
    }

    @Test func `kill -9 while PostgreSQL is away leaves every acknowledged record in the spool`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let settings = database.settings(port: proxy.port).merging(["DURABLE_LEVEL": "trace"]) { $1 }
        let state = try TemporaryDirectory()
        let daemon = try DaemonProcess(settings, state: state)
        let load = Load(daemon.port)
        try load.waitForAcknowledged(10)
        proxy.blackHole()
        try load.waitForAcknowledged(40)
        daemon.kill9()
        let outcome = try load.stop()
        // Sessions of the killed process must not commit later: the proxy ends them.
        proxy.restore()
        let next = try DaemonProcess(settings, state: state)
        #expect(try #require(try next.get("/stats").integer("records.recovered")) > 0)
        try next.waitUntilDelivered()
        expectCountedOnce(outcome, try database.totals())
        try expectOrderlyEnd(next)
    }

    @Test func `the embedded store keeps every durable record through kill -9`() throws {
        let state = try TemporaryDirectory()
        let settings = ["DURABLE_LEVEL": "trace"]
        let daemon = try DaemonProcess(settings, state: state)
        let load = Load(daemon.port)
        try load.waitForAcknowledged(60)
        daemon.kill9()
        let outcome = try load.stop()
        let next = try DaemonProcess(settings, state: state)
        let totals = Dictionary(uniqueKeysWithValues: try next.storedPatterns().map { ($0.source, $0.count) })
        expectCountedOnce(outcome, totals)
        try expectOrderlyEnd(next)
    }
}
