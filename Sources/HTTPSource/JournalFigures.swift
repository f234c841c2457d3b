internal import JSONBytes
internal import LogModel
internal import Pipeline
package import Ports
internal import Telemetry

/// How the reading of the system's journal goes.
package struct JournalFigures: Sendable {
    /// A closed set: it stands in `/stats`.
    package enum State: String, Sendable, CaseIterable {
        /// `JOURNAL=off`.
        case off
        /// There is no journal on this machine.
        case absent
        /// This process may not read it.
        case denied
        /// A start after a power cut: PostgreSQL is asked how far the journal was counted.
        case waiting
        case reading
    }

    package var state = State.off
    package var status = SourceStatus()
    /// Chunks that had to wait because there was no room for their records.
    package var waitCount = 0
    /// Whether reading began at a place that nobody could confirm, so that a stretch may be counted twice.
    package var isGuess = false
    /// Times that the place could not be kept in the runtime directory.
    package var keepFailureCount = 0
    /// The number of the newest stretch that was sealed.
    package var stretch: Int64 = 0

    package init() {}

    /// Seconds between now and when the last entry was written that was read; 0 while nothing is left to read.
    func lag(now: Timestamp) -> Double {
        guard !status.isAtEnd, let last = status.lastEntryAt else { return 0 }
        return Double(max(0, now.microseconds - last.microseconds)) / 1_000_000
    }
}

extension Routes {
    /// The member `journal` of `/stats`.
    func writeJournal(to writer: inout JSONWriter) {
        let journal = facts.journal()
        writer.key("journal")
        writer.beginObject()
        writer.field("state", journal.state.rawValue)
        writer.field("entries", journal.status.readCount)
        writer.field("own", journal.status.ownCount)
        writer.field("empty", journal.status.emptyCount)
        writer.field("joined", journal.status.joinedCount)
        writer.field("damaged", journal.status.damagedCount)
        writer.field("lost_pages", journal.status.lostPageCount)
        writer.field("errors", journal.status.errorCount)
        writer.field("lost_places", journal.status.lostPlaceCount)
        writer.key("lag_s")
        writer.number(journal.lag(now: scheduler.wallClock).rounded())
        writer.field("stretch", Int(journal.stretch))
        writer.field("reread", collector.counters.reread.values.reduce(0, +))
        writer.key("may_repeat")
        writer.bool(journal.isGuess)
        writer.field("last_error", journal.status.lastError ?? "")
        writer.endObject()
    }

    /// The metrics of the journal, all of them always there.
    func addJournal(to page: inout MetricsPage) {
        let journal = facts.journal()
        page.add(.gauge, "logboom_journal_reading", "1 while the journal is read.", journal.state == .reading ? 1 : 0)
        page.add(.counter, "logboom_journal_entries_total", "Journal entries read.", journal.status.readCount)
        page.add(
            .counter,
            "logboom_journal_skipped_total",
            "Journal entries of which no record was made, by reason.",
            [
                ([("reason", "own")], journal.status.ownCount),
                ([("reason", "empty")], journal.status.emptyCount),
            ]
        )
        page.add(
            .counter,
            "logboom_journal_joined_total",
            "Journal entries that became part of another's record.",
            journal.status.joinedCount
        )
        page.add(
            .counter,
            "logboom_journal_damaged_total",
            "Journal entries that could be read in part only.",
            journal.status.damagedCount
        )
        page.add(
            .counter,
            "logboom_journal_lost_pages_total",
            "Pages of journal files that could not be read.",
            journal.status.lostPageCount
        )
        page.add(
            .counter,
            "logboom_journal_errors_total",
            "Times that the journal could not be read.",
            journal.status.errorCount
        )
        page.add(
            .counter,
            "logboom_journal_lost_places_total",
            "Times that the entry of a cursor was gone.",
            journal.status.lostPlaceCount
        )
        page.add(
            .counter,
            "logboom_journal_waits_total",
            "Chunks that waited because there was no room.",
            journal.waitCount
        )
        page.add(
            .counter,
            "logboom_journal_keep_failures_total",
            "Times that the place in the journal could not be kept for the next process.",
            journal.keepFailureCount
        )
        page.add(
            .gauge,
            "logboom_journal_may_repeat",
            "1 when nobody could confirm where reading began.",
            journal.isGuess ? 1 : 0
        )
        page.add(
            .counter,
            "logboom_records_reread_total",
            "Records read again for a lane that had no receipt for them.",
            collector.lanes.map { ([("lane", $0.id.rawValue)], collector.counters.reread[$0.id] ?? 0) }
        )
        page.add(
            .gauge,
            "logboom_journal_lag_seconds",
            "Age of the last entry read, while more wait.",
            journal.lag(now: scheduler.wallClock)
        )
    }
}
