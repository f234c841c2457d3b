internal import Admission
internal import Delivery
internal import HTTPServing
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import Ports
internal import Telemetry

extension Routes {
    /// `GET /stats`. The block `records` adds up at every moment: accepted = delivered + spooled + dead_lettered + dropped +
    /// in_flight, where accepted counts what this process folded and what it found in the spool.
    func statsPage() -> [UInt8] {
        let counters = collector.counters
        let store = storeLane.lane.counts
        // Dead letters of earlier processes that a person had sent again came in like what was found in the spool.
        let reread = counters.reread[.store] ?? 0
        let recovered = counters.recovered + storeLane.replayedForeignRecordCount + reread
        let process = ProcessFigures.current()
        let spool = facts.spoolFigures()
        var writer = JSONWriter(byteCountEstimate: 2048)
        writer.beginObject()
        writer.field("version", logboomVersion)
        writer.field("node", facts.nodeID.text)
        writer.field("uptime_s", Int(scheduler.now.since(facts.startedAt).seconds))
        writer.key("records")
        writer.beginObject()
        writer.field("accepted", counters.accepted + recovered)
        writer.field("recovered", recovered)
        writer.field("delivered", store.delivered)
        writer.field("spooled", store.spooled)
        writer.field("dead_lettered", store.deadLettered)
        writer.field("dropped", counters.dropped)
        writer.field("in_flight", collector.openRecordCount + store.inMemory - counters.dropped)
        writer.endObject()
        writer.field("received", counters.received)
        writer.field("failed", counters.failed)
        writer.field("refused", counters.refused.values.reduce(0, +))
        writer.key("denied")
        writer.beginObject()
        for denial in AccessDenial.allCases {
            writer.key(text: denial.rawValue)
            writer.integer(gate.deniedCounts[denial] ?? 0)
        }
        writer.endObject()
        writer.field("matched", counters.matched)
        writer.field("templates_loaded", collector.templateCount)
        writer.field("overflowed", collector.overflowCount)
        writeSuppressed(to: &writer)
        writer.field("optimal_batch_size", collector.batchSize)
        writer.key("aggregation_ratio")
        writer.number(
            counters.sealedSeries == 0
                ? 0
                : (Double(counters.accepted - collector.openRecordCount) / Double(counters.sealedSeries)).rounded(
                    toPlaces: 2
                )
        )
        writer.field("durable_level", collector.durableLevel.map { "\($0.name)".lowercased() } ?? "off")
        writer.field("aggregation_window_s", Int(collector.window.seconds))
        writer.key("open_window")
        writer.beginObject()
        writer.field("records", collector.openRecordCount)
        writer.field("series", collector.openSeriesCount)
        writer.endObject()
        writer.key("sealed")
        writer.beginObject()
        for reason in SealReason.allCases {
            writer.key(text: reason.rawValue)
            writer.integer(counters.sealed[reason] ?? 0)
        }
        writer.endObject()
        writer.key("lanes")
        writer.beginObject()
        for runner in collector.lanes {
            writer.key(text: runner.id.rawValue)
            write(runner, to: &writer)
        }
        writer.endObject()
        writeJournal(to: &writer)
        writer.key("spool")
        writer.beginObject()
        writer.field("batches", spool.batchCounts.values.reduce(0, +))
        writer.field("records", store.spooled)
        writer.field("bytes", spool.byteCount)
        writer.field("limit_bytes", spool.byteCountMax)
        writer.field("file_bytes", spool.fileByteCount)
        writer.field("dead_letters", spool.deadLetterCount)
        writer.field("merged_batches", spool.mergedBatchCount)
        writer.field("reduced_batches", spool.reducedBatchCount)
        writer.key("longest_window_s")
        writer.number(spool.longestWindow.seconds)
        writer.endObject()
        writer.key("memory")
        writer.beginObject()
        writer.field("rss_bytes", process.residentByteCount)
        writer.field("anonymous_bytes", process.anonymousByteCount)
        writer.field("budget_bytes", collector.memoryLimit)
        writer.field("used_bytes", collector.usedByteCount)
        writer.endObject()
        writer.key("disk_written_bytes")
        if let written = process.writtenByteCount { writer.integer(written) } else { writer.null() }
        writer.endObject()
        writer.endLine()
        return writer.bytes
    }

    /// Which sources were faster than `RATE_LIMIT`, and with what; most first.
    private func writeSuppressed(to writer: inout JSONWriter) {
        writer.key("suppressed")
        writer.beginObject()
        writer.field("records", collector.suppressedCount)
        writer.key("patterns")
        writer.beginArray()
        for entry in collector.suppressed.entries.sorted(by: { $0.count > $1.count }) {
            writer.beginObject()
            writer.field("source", String(decoding: entry.source, as: UTF8.self))
            writer.field("host", String(decoding: entry.host, as: UTF8.self))
            writer.field("pattern", String(decoding: entry.pattern, as: UTF8.self))
            writer.field("records", entry.count)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    private func write(_ runner: LaneRunner, to writer: inout JSONWriter) {
        let lane = runner.lane
        writer.beginObject()
        writer.field("sink", runner.sink.name)
        writer.field("state", lane.phase.rawValue)
        writer.field("delivered", lane.counts.delivered)
        writer.field("spooled", lane.counts.spooled)
        writer.field("dead_lettered", lane.counts.deadLettered)
        writer.field("in_memory", lane.counts.inMemory)
        writer.field("delivered_batches", runner.deliveredBatchCount)
        writer.field("spooled_batches", facts.spoolFigures().batchCounts[runner.id] ?? 0)
        writer.field("failures", lane.failureCount)
        writer.key("mean_send_ms")
        writer.number(
            runner.sendCount == 0 ? 0 : (runner.sendSeconds * 1000 / Double(runner.sendCount)).rounded(toPlaces: 3)
        )
        writer.field("last_error", runner.lastError?.description ?? "")
        writer.key("next_retry_s")
        if let retry = lane.nextRetry {
            writer.number(max(0, retry.since(scheduler.now).seconds.rounded(toPlaces: 1)))
        } else {
            writer.null()
        }
        writer.endObject()
    }

    /// `GET /metrics`: docs/metrics.md describes each.
    func metricsPage() -> HTTPAnswer {
        let counters = collector.counters
        let process = ProcessFigures.current()
        let spool = facts.spoolFigures()
        var page = MetricsPage()
        page.add(.gauge, "logboom_build_info", "Version of the daemon; always 1.", [([("version", logboomVersion)], 1)])
        page.add(.counter, "logboom_records_received_total", "Records that sources handed over.", counters.received)
        page.add(.counter, "logboom_records_accepted_total", "Records folded into a batch.", counters.accepted)
        page.add(
            .counter,
            "logboom_records_recovered_total",
            "Records found in the spool at the start.",
            counters.recovered
        )
        page.add(.counter, "logboom_records_failed_total", "Records that were not usable.", counters.failed)
        page.add(
            .counter,
            "logboom_records_refused_total",
            "Records turned away with an answer, by reason.",
            Refusal.allCases.map { ([("reason", $0.rawValue)], counters.refused[$0] ?? 0) }
        )
        page.add(
            .counter,
            "logboom_records_matched_total",
            "Accepted records whose template was known.",
            counters.matched
        )
        page.add(
            .counter,
            "logboom_records_overflowed_total",
            "Records counted under <other> at a bound.",
            collector.overflowCount
        )
        page.add(
            .counter,
            "logboom_records_suppressed_total",
            "Records counted without sample and attributes, for their source was too fast.",
            collector.suppressedCount
        )
        page.add(
            .counter,
            "logboom_records_cut_total",
            "Accepted records of which a part was left out at a bound.",
            [
                ([("part", "message")], figures.cutRecordCount),
                ([("part", "attributes")], figures.attributeCutRecordCount),
            ]
        )
        page.add(
            .counter,
            "logboom_records_dropped_total",
            "Accepted records lost, with a line in the log.",
            counters.dropped
        )
        let lanes = collector.lanes
        func byLane(_ value: (LaneRunner) -> Int) -> [(labels: [(String, String)], value: Int)] {
            lanes.map { ([("lane", $0.id.rawValue)], value($0)) }
        }
        page.add(
            .counter,
            "logboom_records_delivered_total",
            "Records that the sink holds.",
            byLane { $0.lane.counts.delivered }
        )
        page.add(
            .counter,
            "logboom_records_dead_lettered_total",
            "Records set aside.",
            byLane { $0.lane.counts.deadLettered + $0.replayedRecordCount - $0.replayedForeignRecordCount }
        )
        page.add(
            .counter,
            "logboom_records_replayed_total",
            "Records of dead letters that were sent again.",
            byLane { $0.replayedRecordCount }
        )
        page.add(.gauge, "logboom_records_spooled", "Records in the spool.", byLane { $0.lane.counts.spooled })
        page.add(
            .gauge,
            "logboom_records_in_flight",
            "Records that only memory holds.",
            byLane { $0.lane.counts.inMemory + collector.openRecordCount }
        )
        page.add(
            .counter,
            "logboom_batches_sealed_total",
            "Batches sealed, by reason.",
            SealReason.allCases.map { ([("reason", $0.rawValue)], counters.sealed[$0] ?? 0) }
        )
        page.add(
            .counter,
            "logboom_batches_delivered_total",
            "Batches that the sink holds.",
            byLane { $0.deliveredBatchCount }
        )
        page.add(
            .counter,
            "logboom_batches_spilled_total",
            "Batches written to the spool.",
            byLane { $0.spilledBatchCount }
        )
        page.add(
            .counter,
            "logboom_spill_failures_total",
            "Batches the spool refused.",
            byLane { $0.spillFailureCount }
        )
        page.add(
            .counter,
            "logboom_sink_failures_total",
            "Sends that failed, by what that means for the batch.",
            lanes.flatMap { runner in
                FailureClass.allCases.map { failure in
                    ([("lane", runner.id.rawValue), ("class", failure.rawValue)], runner.failureCounts[failure] ?? 0)
                }
            }
        )
        page.add(
            .counter,
            "logboom_sink_faults_total",
            "Sends that failed, by what was wrong.",
            lanes.flatMap { runner in
                Fault.allCases.map { fault in
                    ([("lane", runner.id.rawValue), ("fault", fault.rawValue)], runner.faultCounts[fault] ?? 0)
                }
            }
        )
        page.add(.gauge, "logboom_sink_up", "1 while the sink takes batches.", byLane { $0.lane.phase == .up ? 1 : 0 })
        page.add(.gauge, "logboom_spool_batches", "Batches in the spool.", byLane { spool.batchCounts[$0.id] ?? 0 })
        page.add(
            .counter,
            "logboom_spool_merged_batches_total",
            "Spooled batches merged with neighbours, for room.",
            spool.mergedBatchCount
        )
        page.add(
            .counter,
            "logboom_spool_reduced_batches_total",
            "Spooled batches that lost samples or attributes, for room.",
            spool.reducedBatchCount
        )
        page.add(
            .gauge,
            "logboom_spool_longest_window_seconds",
            "Longest window that merging has made.",
            spool.longestWindow.seconds
        )
        page.add(.gauge, "logboom_spool_bytes", "Bytes of the batches in the spool.", spool.byteCount)
        page.add(.gauge, "logboom_state_file_bytes", "Size of the state file.", spool.fileByteCount)
        page.add(.gauge, "logboom_spool_limit_bytes", "Size the spool may have.", spool.byteCountMax)
        page.add(
            .counter,
            "logboom_state_replacements_total",
            "Times the state file broke in use.",
            spool.damageCount
        )
        page.add(
            .gauge,
            "logboom_state_memory_only",
            "1 while there is no state file.",
            spool.isMemoryOnly ? 1 : 0
        )
        page.add(
            .gauge,
            "logboom_disk_free_bytes",
            "Free space where the state file is.",
            spool.freeByteCount ?? 0
        )
        page.add(
            .counter,
            "logboom_disk_refusals_total",
            "Batches the state file refused for want of disk space.",
            spool.diskRefusalCount
        )
        page.add(.gauge, "logboom_dead_letters", "Dead letters in the spool's file.", spool.deadLetterCount)
        page.add(
            .counter,
            "logboom_dead_letters_removed_total",
            "Dead letters removed because there were too many.",
            spool.deadLetterDropCount
        )
        page.add(.gauge, "logboom_templates", "Templates known.", collector.templateCount)
        page.add(
            .counter,
            "logboom_template_evictions_total",
            "Templates forgotten for new ones.",
            collector.templateEvictionCount
        )
        page.add(
            .counter,
            "logboom_template_merges_total",
            "Templates that turned out to be another one.",
            collector.mergeCount
        )
        page.add(.counter, "logboom_redactions_total", "Secrets replaced.", collector.redactionCount)
        page.add(.gauge, "logboom_memory_used_bytes", "Memory that records take.", collector.usedByteCount)
        page.add(
            .gauge,
            "logboom_memory_detail_step",
            "What is given up for want of memory: 0 nothing, 1 samples, 2 attributes too.",
            collector.detail.rawValue
        )
        page.add(
            .counter,
            "logboom_batches_merged_in_memory_total",
            "Times that batches which neither sink nor spool took became one.",
            byLane { $0.lane.mergedInMemoryCount }
        )
        page.add(
            .counter,
            "logboom_clock_corrections_total",
            "Times that stamps were put right because the clock was set.",
            counters.clockCorrections
        )
        addJournal(to: &page)
        page.add(.gauge, "logboom_memory_limit_bytes", "Memory that records may take.", collector.memoryLimit)
        page.add(
            .counter,
            "logboom_http_requests_total",
            "Requests answered, by status.",
            figures.answered.sorted { $0.key < $1.key }.map { ([("code", String($0.key))], $0.value) }
        )
        let tls = facts.tls() ?? TLSFigures()
        page.add(.counter, "logboom_tls_handshakes_total", "TLS handshakes that ended well.", tls.handshakeCount)
        page.add(
            .counter,
            "logboom_tls_handshake_failures_total",
            "TLS connections that came to nothing.",
            tls.failureCount
        )
        page.add(
            .gauge,
            "logboom_tls_certificate_expiry_seconds",
            "When the certificate ends, since 1970; 0 without one.",
            tls.expirySecond
        )
        page.add(
            .counter,
            "logboom_http_denied_total",
            "Requests turned away for who sent them.",
            AccessDenial.allCases.map { ([("reason", $0.rawValue)], gate.deniedCounts[$0] ?? 0) }
        )
        page.add(
            .counter,
            "logboom_http_repeated_requests_total",
            "Requests whose Idempotency-Key had come before.",
            figures.repeatedRequestCount
        )
        addConnections(server?.figures ?? HTTPServerFigures(), to: &page)
        page.add(.gauge, "logboom_request_keys", "Idempotency-Keys remembered.", requestKeys.count)
        page.add(
            .counter,
            "logboom_request_key_evictions_total",
            "Idempotency-Keys forgotten before their time.",
            requestKeys.evictionCount
        )
        page.add(.gauge, "logboom_process_resident_bytes", "Resident memory.", process.residentByteCount)
        page.add(.gauge, "logboom_process_anonymous_bytes", "Anonymous resident memory.", process.anonymousByteCount)
        page.add(.counter, "logboom_process_cpu_seconds_total", "Processor time used.", process.cpuSeconds)
        page.add(.gauge, "logboom_process_open_files", "Open file descriptors.", process.openFileCount)
        page.add(
            .counter,
            "logboom_disk_written_bytes_total",
            "Bytes this process sent to the block layer.",
            process.writtenByteCount ?? 0
        )
        return HTTPAnswer(.ok, contentType: MetricsPage.contentType, body: Array(page.text.utf8))
    }

    private func addConnections(_ figures: HTTPServerFigures, to page: inout MetricsPage) {
        page.add(.gauge, "logboom_http_connections", "Connections open.", figures.connectionCount)
        page.add(.counter, "logboom_http_connections_total", "Connections taken on.", figures.connectionOpenedCount)
        page.add(
            .counter,
            "logboom_http_connections_evicted_total",
            "Idle connections closed to make room for new ones.",
            figures.connectionEvictedCount
        )
        page.add(
            .counter,
            "logboom_http_connections_refused_total",
            "Connections closed at once because all others were busy.",
            figures.connectionRefusedCount
        )
        page.add(
            .counter,
            "logboom_http_request_timeouts_total",
            "Requests that did not arrive in time.",
            figures.requestTimeoutCount
        )
        page.add(
            .counter,
            "logboom_http_slow_bodies_total",
            "Requests given up because they came slowly while others waited for their memory.",
            figures.slowBodyCount
        )
        page.add(
            .counter,
            "logboom_http_body_waits_total",
            "Times that a connection had to wait with the rest of a body until there was room.",
            figures.bodyWaitCount
        )
        page.add(
            .counter,
            "logboom_http_slow_readers_total",
            "Connections closed because their clients did not read the answers.",
            figures.slowReaderCount
        )
        page.add(
            .gauge,
            "logboom_http_body_bytes",
            "Memory of requests that have not arrived whole.",
            figures.bodyByteCount
        )
    }
}
