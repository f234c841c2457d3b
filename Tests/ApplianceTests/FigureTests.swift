import Foundation
import PipelineTesting
import Testing

/// `/metrics` and `/stats` of a daemon that has seen a bit of everything.
@Suite struct FigureTests {
    private struct Sample {
        var name: String
        var labels: String
        var value: Double
    }

    /// Reads the page as the format's own grammar has it (prometheus.io, "Exposition formats"); the lines that do not fit.
    private func read(_ page: String) -> (samples: [Sample], misfits: [String]) {
        var samples: [Sample] = []
        var misfits: [String] = []
        var types: [String: String] = [:]
        let sample =
            #/^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\})? ([^ ]+)$/#
        for line in page.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ", maxSplits: 3)
            if line.hasPrefix("# HELP "), words.count == 4 { continue }
            if line.hasPrefix("# TYPE "), words.count == 4, ["counter", "gauge"].contains(words[3]) {
                // A second TYPE of one name, or one after its samples, is against the format.
                if types.updateValue(String(words[3]), forKey: String(words[2])) != nil { misfits.append(String(line)) }
                continue
            }
            guard let match = line.wholeMatch(of: sample), let value = Double(match.3), types[String(match.1)] != nil
            else {
                misfits.append(String(line))
                continue
            }
            if types[String(match.1)] == "counter", !match.1.hasSuffix("_total") || value < 0 {
                misfits.append(String(line))
            }
            samples.append(Sample(name: String(match.1), labels: match.2.map(String.init) ?? "", value: value))
        }
        if !page.hasSuffix("\n") { misfits.append("no line end at the end") }
        return (samples, misfits)
    }

    @Test func `every line of the metrics is in the exposition format, and they agree with the statistics`() throws {
        let receiver = AnalyticsReceiver()
        let port = try receiver.start()
        receiver.stop()
        try withDaemon(["ANALYTICS_NODE_URL": "http://127.0.0.1:\(port)"]) { daemon in
            try daemon.postRecords(6, level: "ERROR")
            try daemon.postRecords(4)
            _ = try daemon.post("/ingest", #"[{"message":"a"},{"nothing":1}]"#)
            _ = try daemon.post("/ingest", "broken")
            _ = try daemon.get("/nowhere")
            let answer = try daemon.get("/metrics")
            let stats = try daemon.get("/stats")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            let (samples, misfits) = read(answer.text)
            #expect(misfits.isEmpty)
            #expect(samples.allSatisfy { $0.name.hasPrefix("logboom_") })
            let keys = samples.map { $0.name + $0.labels }
            #expect(Set(keys).count == keys.count, "a series appears twice")
            func value(_ key: String) -> Int? { samples.first { $0.name + $0.labels == key }.map { Int($0.value) } }
            let pairs = [
                ("logboom_records_accepted_total", "records.accepted"), ("logboom_records_failed_total", "failed"),
                ("logboom_records_received_total", "received"), ("logboom_records_matched_total", "matched"),
                ("logboom_records_recovered_total", "records.recovered"),
                ("logboom_records_dropped_total", "records.dropped"),
                ("logboom_records_delivered_total{lane=\"store\"}", "records.delivered"),
                ("logboom_records_spooled{lane=\"store\"}", "records.spooled"),
                ("logboom_records_in_flight{lane=\"store\"}", "records.in_flight"),
                ("logboom_records_dead_lettered_total{lane=\"store\"}", "records.dead_lettered"),
                ("logboom_records_spooled{lane=\"forward\"}", "lanes.forward.spooled"),
                ("logboom_templates", "templates_loaded"),
                ("logboom_batches_sealed_total{reason=\"durable\"}", "sealed.durable"),
            ]
            for (metric, path) in pairs {
                #expect(value(metric) != nil, "\(metric)")
                #expect(value(metric) == stats.integer(path), "\(metric) and \(path)")
            }
            #expect(value("logboom_records_accepted_total") == 11)
            #expect(value("logboom_records_failed_total") == 2)
            #expect(value("logboom_sink_up{lane=\"forward\"}") == 0)
            #expect(value("logboom_http_requests_total{code=\"404\"}") == 1)
            #expect(value("logboom_http_requests_total{code=\"400\"}") == 1)
        }
    }

    @Test func `statistics add up at every moment of a load with an outage in it`() throws {
        let database = try TestDatabase(.shared())
        let proxy = try FaultProxy(to: database.cluster.port)
        let daemon = try DaemonProcess(database.settings(port: proxy.port).merging(["BATCH_SIZE": "50"]) { $1 })
        let load = Load(daemon.port)
        for step in 0..<60 {
            if step == 20 { proxy.blackHole() }
            if step == 40 { proxy.restore() }
            try load.waitForAcknowledged(3)
            try expectConservation(daemon)
        }
        let outcome = try load.stop()
        try daemon.flush()
        try daemon.waitUntilDelivered()
        expectCountedOnce(outcome, try database.totals())
        try expectOrderlyEnd(daemon)
    }

    @Test func `with PostgreSQL healthy nothing is written to disk`() throws {
        try withDaemon(on: .postgres) { daemon in
            func figures() throws -> (written: Int, spilled: Double) {
                let spilled = read(try daemon.get("/metrics").text).samples
                    .first { $0.name + $0.labels == #"logboom_batches_spilled_total{lane="store"}"# }
                return (
                    try #require(try daemon.get("/stats").integer("disk_written_bytes")), try #require(spilled?.value)
                )
            }
            try daemon.postRecords(50, level: "ERROR")
            try daemon.waitUntilDelivered()
            // A commit that takes longer than the daemon's patience is spilled, rightly, and says nothing here.
            for _ in 0..<10 {
                let before = try figures()
                for _ in 0..<30 { try daemon.postRecords(50, level: "ERROR") }
                try daemon.waitUntilDelivered()
                let after = try figures()
                guard after.spilled == before.spilled else { continue }
                // With PostgreSQL healthy, records go through memory only.
                #expect(
                    after.written == before.written,
                    "\(after.written - before.written) bytes for 1500 durable records"
                )
                return
            }
            Issue.record("PostgreSQL was slow in each of ten rounds")
        }
    }
}
