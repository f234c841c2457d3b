import Foundation
import PipelineTesting
import Testing

/// The analytics node beside the store: a lane of its own.
@Suite struct ForwardLaneTests {
    private func delivered(_ stats: HTTPTestAnswer, _ lane: String) -> Int? {
        stats.integer("lanes.\(lane).delivered")
    }

    @Test(arguments: Store.allCases)
    func `an analytics node that is away and then loses replies gets every count once`(_ store: Store) throws {
        let receiver = AnalyticsReceiver()
        // Its port, before it is away.
        let port = try receiver.start()
        receiver.stop()
        try withDaemon(on: store, ["ANALYTICS_NODE_URL": "http://127.0.0.1:\(port)"]) { daemon in
            for _ in 0..<4 {
                let start = ContinuousClock.now
                try daemon.postRecords(5, level: "ERROR")
                #expect(
                    ContinuousClock.now - start < .seconds(2),
                    "the store's receipt does not wait for the other lane"
                )
            }
            try daemon.waitForStats("the store to have all") { delivered($0, "store") == 20 }
            let away = try expectConservation(daemon)
            #expect(delivered(away, "store") == 20)
            #expect(delivered(away, "forward") == 0)
            #expect(away.integer("lanes.forward.spooled") == 20)

            receiver.fault = .closeAfterApplying
            receiver.fail(next: 3, with: .closeAfterApplying)
            try receiver.start(port: port)
            try daemon.postRecords(5, level: "ERROR")
            try daemon.waitForStats("the forward lane to catch up", .seconds(75)) { delivered($0, "forward") == 25 }
            receiver.fail(next: 2, with: .cutAnswer)
            try daemon.postRecords(5)
            try daemon.flush()
            try daemon.waitForStats("the forward lane to catch up", .seconds(75)) { delivered($0, "forward") == 30 }
            let stats = try daemon.get("/stats")
            #expect(delivered(stats, "store") == 30)
            #expect(stats.integer("lanes.forward.spooled") == 0)
            #expect(receiver.totalCount == 30)
            #expect(receiver.complaints.isEmpty, "\(receiver.complaints)")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 30)
        }
        receiver.stop()
    }

    @Test func `what the analytics node did not get survives a restart`() throws {
        let receiver = AnalyticsReceiver()
        let port = try receiver.start()
        receiver.stop()
        let settings = ["ANALYTICS_NODE_URL": "http://127.0.0.1:\(port)"]
        let daemon = try DaemonProcess(settings)
        try daemon.postRecords(9)
        #expect(try daemon.terminate() == .exited(0), "\(daemon.log)")
        try receiver.start(port: port)
        let next = try DaemonProcess(settings, state: daemon.state)
        try next.waitForStats("the forward lane to drain") { delivered($0, "forward") == 9 }
        #expect(receiver.totalCount == 9)
        #expect(try next.storedPatterns().map(\.count) == [9])
        try expectOrderlyEnd(next)
        receiver.stop()
    }

    @Test func `kill -9 between the analytics node's commit and its answer counts once`() throws {
        let receiver = AnalyticsReceiver()
        receiver.fault = .hang
        let port = try receiver.start()
        let settings = ["ANALYTICS_NODE_URL": "http://127.0.0.1:\(port)", "DURABLE_LEVEL": "trace"]
        let daemon = try DaemonProcess(settings)
        try daemon.postRecords(6)
        // Answered from the spool; the send under way is applied and never answered.
        receiver.fault = .closeAfterApplying
        receiver.closeConnections()
        try Wait.until("the node to apply the batch", holds: { receiver.totalCount == 6 })
        daemon.kill9()
        receiver.fault = .none
        let next = try DaemonProcess(settings, state: daemon.state)
        try next.postRecords(1)
        try next.waitForStats("the forward lane to drain") { $0.integer("lanes.forward.spooled") == 0 }
        try Wait.until("the last record", holds: { receiver.totalCount >= 7 })
        #expect(receiver.totalCount == 7)
        try expectOrderlyEnd(next)
        receiver.stop()
    }

    @Test func `PostgreSQL away does not hold up the analytics node`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let receiver = AnalyticsReceiver()
        let port = try receiver.start()
        let settings = database.settings(port: proxy.port)
            .merging(["ANALYTICS_NODE_URL": "http://127.0.0.1:\(port)"]) { $1 }
        proxy.blackHole()
        let daemon = try DaemonProcess(settings)
        try daemon.postRecords(8, level: "ERROR")
        try Wait.until("the node to have the records", holds: { receiver.totalCount == 8 })
        #expect(try expectConservation(daemon).integer("records.spooled") == 8)
        proxy.restore()
        try daemon.waitUntilDelivered()
        #expect(try database.total() == 8)
        #expect(receiver.totalCount == 8)
        try expectOrderlyEnd(daemon)
        receiver.stop()
    }
}
