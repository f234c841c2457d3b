internal import CSystemd
internal import LogModel
internal import Ports

/// Where in the journal reading goes on. Finding that is most of what can go wrong with a journal: the entry of a cursor may
/// have been vacuumed, lost in a power cut, or be followed by a boot whose clock was behind.
struct JournalPlace {
    /// The journal stands on an entry that was not read yet.
    private var isOnUnread = false
    /// Entries up to here were read before, and may come once more.
    private var readThrough: JournalPosition?
    /// Read first: what the boot of the cursor still has. Then comes this boot, which began with a clock behind.
    private var nextBoot: sd_id128_t?
    private let configuration: JournalConfiguration
    /// Whether the entry of the cursor is gone.
    private(set) var isLost = false

    /// Goes to where `start` says. `now` is what a first start looks back from.
    init(
        _ journal: inout Journal,
        _ start: SourceStart,
        _ configuration: JournalConfiguration,
        _ now: Timestamp
    ) throws(JournalError) {
        self.configuration = configuration
        journal.forgetMatches()
        switch start {
        case .first:
            try addMatches(&journal)
            let lookback = Int64(configuration.lookback / .microseconds(1))
            // A clock that was never set says nothing about how far back that is.
            if now >= .earliestPlausible, lookback < now.microseconds {
                try journal.seek(realtime: UInt64(now.microseconds - lookback))
            } else {
                try journal.seekHead()
            }
        case .at(let cursor):
            try addMatches(&journal)
            try journal.seek(cursor: cursor)
            // When the entry is gone it stops at the next, which is as good.
            isOnUnread = try journal.next()
            isLost = !isOnUnread || !journal.isAt(cursor)
        case .after(let cursor):
            try findCursor(cursor, &journal)
        }
    }

    private func addMatches(_ journal: inout Journal) throws(JournalError) {
        try journal.match("_SYSTEMD_UNIT", anyOf: configuration.units)
        if let severity = configuration.severityMin {
            let priorities = (0...7).filter { priority in
                Severity(syslogPriority: priority).map { $0 >= severity } ?? false
            }
            try journal.match("PRIORITY", anyOf: priorities.map(String.init))
        }
    }

    private mutating func findCursor(_ cursor: String, _ journal: inout Journal) throws(JournalError) {
        let known = JournalPosition(cursor: cursor)
        // Within a process's life there is one boot, so this costs something at a start and at a rotation only.
        let newest = try Self.newestBoot(&journal)
        if let known, let newest, newest.isRunning, newest.boot == known.boot {
            // Nothing of another boot can be new, and by the wall clock some might come again.
            try journal.match("_BOOT_ID", anyOf: [Self.text(known.boot)])
        } else if let known, let newest, !(newest.boot == known.boot), newest.firstRealtime <= known.realtime {
            // Libsystemd finds its place in another boot by the wall clock, and so would leave out all that this boot wrote
            // before its clock was right: the usual thing on a Pi after a power cut. First what the old boot still has.
            nextBoot = newest.boot
            try journal.match("_BOOT_ID", anyOf: [Self.text(known.boot)])
        }
        try addMatches(&journal)
        try journal.seek(cursor: cursor)
        if try journal.next() {
            // sd_journal_seek_cursor(3) stops at the next entry when the one it seeks is gone, and does not say so.
            if journal.isAt(cursor) { return }
            isOnUnread = true
        }
        isLost = true
        guard let known else { return }
        // Gone: from its time on, leaving out what was read before. Not by its number: after a power cut numbers are given anew.
        isOnUnread = false
        readThrough = known
        try journal.seek(realtime: known.realtime)
    }

    /// To the next entry that was not read before; `false` when there is none now.
    mutating func next(_ journal: inout Journal) throws(JournalError) -> Bool {
        while true {
            if isOnUnread {
                isOnUnread = false
            } else if try !journal.next() {
                guard let boot = nextBoot else { return false }
                try enter(boot, &journal)
                continue
            }
            // An entry that cannot be read is for the caller to count.
            guard let readThrough, let position = try JournalPosition.readable(journal) else { return true }
            guard position.boot == readThrough.boot, position.monotonic <= readThrough.monotonic else { return true }
        }
    }

    /// All of the boot that began with a clock behind, and for the rest of this process nothing of another: by the wall clock
    /// the old boot's entries would come again in between.
    private mutating func enter(_ boot: sd_id128_t, _ journal: inout Journal) throws(JournalError) {
        nextBoot = nil
        readThrough = nil
        journal.forgetMatches()
        try journal.match("_BOOT_ID", anyOf: [Self.text(boot)])
        try addMatches(&journal)
        try journal.seekHead()
    }

    /// The boot of the journal's last entry, and when that boot wrote its first.
    private static func newestBoot(
        _ journal: inout Journal
    ) throws(JournalError) -> (boot: sd_id128_t, firstRealtime: UInt64, isRunning: Bool)? {
        // The tail by the wall clock may be of an old boot whose clock was ahead: the machine itself knows which one runs.
        var running = sd_id128_t()
        if sd_id128_get_boot(&running) == 0, let first = try firstRealtime(of: running, &journal) {
            return (running, first, true)
        }
        // Not this machine's journal, or it was not written to since the boot.
        journal.forgetMatches()
        try journal.seekTail()
        guard try journal.previous() else { return nil }
        let boot = try journal.monotonic().boot
        return try firstRealtime(of: boot, &journal).map { (boot, $0, false) }
    }

    private static func firstRealtime(
        of boot: sd_id128_t,
        _ journal: inout Journal
    ) throws(JournalError) -> UInt64? {
        journal.forgetMatches()
        try journal.match("_BOOT_ID", anyOf: [text(boot)])
        defer { journal.forgetMatches() }
        try journal.seekHead()
        return try journal.next() ? try journal.realtime() : nil
    }

    /// As the field `_BOOT_ID` has it.
    private static func text(_ id: sd_id128_t) -> String {
        var text = [CChar](repeating: 0, count: 33)
        return text.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let string = sd_id128_to_string(id, base) else { return "" }
            return String(cString: string)
        }
    }
}
