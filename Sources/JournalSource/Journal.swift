internal import CSystemd
internal import Glibc
internal import LogModel

/// What libsystemd could not do, and its errno.
struct JournalError: Error, Sendable, CustomStringConvertible {
    var attempt: String
    var code: Int32

    /// The file is not what it should be, at this place: the next entry may be sound.
    var isDamage: Bool { code == EBADMSG }

    var description: String { "\(attempt): \(String(cString: strerror(code)))" }
}

/// The system's journal, opened for reading: sd-journal(3) made safe.
///
/// Owns the handle; closed when it goes away. For one thread. After an error that is no `EBADMSG` it is best opened anew.
struct Journal: ~Copyable {
    private let handle: OpaquePointer

    /// What a wait ended with (sd_journal_process(3)).
    enum Change { case none, appended, filesChanged }

    /// Opens the local machine's journal, or the files in `directory`. Files that may not be read are left out without an
    /// error (``JournalAccess``).
    init(directory: String?) throws(JournalError) {
        var handle: OpaquePointer?
        let code =
            if let directory {
                sd_journal_open_directory(&handle, directory, 0)
            } else {
                sd_journal_open(&handle, Int32(SD_JOURNAL_LOCAL_ONLY))
            }
        guard code >= 0, let handle else {
            throw JournalError(attempt: "open the journal\(directory.map { " in \($0)" } ?? "")", code: -code)
        }
        self.handle = handle
        // What a message may have, and its field's name. Longer data need not be unpacked.
        _ = sd_journal_set_data_threshold(handle, Limits.messageByteCountMax + 64)
    }

    deinit { sd_journal_close(handle) }

    private static func checked(_ code: Int32, _ attempt: StaticString) throws(JournalError) -> Int32 {
        guard code < 0 else { return code }
        throw JournalError(attempt: "\(attempt)", code: -code)
    }

    // MARK: Matches

    /// Only entries that have one of `values` in `field`; a second field narrows further. No values: no condition.
    func match(_ field: String, anyOf values: [String]) throws(JournalError) {
        for value in values {
            let text = field + "=" + value
            _ = try Self.checked(
                sd_journal_add_match(handle, text, text.utf8.count),
                "add a match to the journal"
            )
        }
        // Fields are joined by AND, the values of one field by OR, so nothing else is to be said.
    }

    func forgetMatches() { sd_journal_flush_matches(handle) }

    // MARK: Place

    func seekHead() throws(JournalError) {
        _ = try Self.checked(sd_journal_seek_head(handle), "go to the journal's head")
    }
    func seekTail() throws(JournalError) {
        _ = try Self.checked(sd_journal_seek_tail(handle), "go to the journal's tail")
    }

    func seek(realtime microseconds: UInt64) throws(JournalError) {
        _ = try Self.checked(sd_journal_seek_realtime_usec(handle, microseconds), "go to a time in the journal")
    }

    func seek(boot: sd_id128_t, monotonic microseconds: UInt64) throws(JournalError) {
        _ = try Self.checked(sd_journal_seek_monotonic_usec(handle, boot, microseconds), "go to a boot in the journal")
    }

    func seek(cursor: String) throws(JournalError) {
        _ = try Self.checked(sd_journal_seek_cursor(handle, cursor), "go to a cursor in the journal")
    }

    /// To the next entry; `false` at the end.
    func next() throws(JournalError) -> Bool {
        try Self.checked(sd_journal_next(handle), "read the journal's next entry") > 0
    }

    func previous() throws(JournalError) -> Bool {
        try Self.checked(sd_journal_previous(handle), "read the journal's previous entry") > 0
    }

    // MARK: The entry

    func isAt(_ cursor: String) -> Bool { sd_journal_test_cursor(handle, cursor) > 0 }

    /// Allocates: once a chunk, not for every entry.
    func cursor() throws(JournalError) -> String {
        var text: UnsafeMutablePointer<CChar>?
        _ = try Self.checked(sd_journal_get_cursor(handle, &text), "read a cursor of the journal")
        guard let text else { throw JournalError(attempt: "read a cursor of the journal", code: EINVAL) }
        defer { free(text) }
        return String(cString: text)
    }

    /// When journald took the entry, in microseconds since 1970.
    func realtime() throws(JournalError) -> UInt64 {
        var microseconds: UInt64 = 0
        _ = try Self.checked(sd_journal_get_realtime_usec(handle, &microseconds), "read an entry's time")
        return microseconds
    }

    /// The boot in which the entry was written, and how long that lasted then.
    func monotonic() throws(JournalError) -> (boot: sd_id128_t, microseconds: UInt64) {
        var microseconds: UInt64 = 0
        var boot = sd_id128_t()
        _ = try Self.checked(sd_journal_get_monotonic_usec(handle, &microseconds, &boot), "read an entry's boot")
        return (boot, microseconds)
    }

    /// Calls `body` with each field's name and value. Each view is good for that call. One pass over the entry: asking for
    /// single fields would search it each time.
    func forEachField(_ body: (_ name: ByteView, _ value: ByteView) -> Void) throws(JournalError) {
        sd_journal_restart_data(handle)
        while true {
            var data: UnsafeRawPointer?
            var count = 0
            let code = sd_journal_enumerate_available_data(handle, &data, &count)
            guard try Self.checked(code, "read an entry's fields") > 0, let data else { return }
            let bytes = UnsafeRawBufferPointer(start: data, count: count).assumingMemoryBound(to: UInt8.self)
            // Names have at most 64 bytes (systemd.journal-fields(7)).
            guard let end = bytes.prefix(65).firstIndex(of: UInt8(ascii: "=")) else { continue }
            body(ByteView(rebasing: bytes[..<end]), ByteView(rebasing: bytes[(end + 1)...]))
        }
    }

    // MARK: Waiting

    /// Becomes readable when something changed; -1 when there is none. The first call begins the watching.
    func descriptor() -> Int32 { max(-1, sd_journal_get_fd(handle)) }

    /// How long a wait may last at most: `nil` for ever, else milliseconds (on file systems that tell of no changes).
    func waitMilliseconds(now microseconds: UInt64) -> Int32? {
        var limit = UInt64.max
        guard sd_journal_get_timeout(handle, &limit) > 0, limit != .max else { return nil }
        return limit <= microseconds ? 0 : Int32(clamping: (limit - microseconds) / 1000 + 1)
    }

    /// Takes in what the descriptor told.
    func process() throws(JournalError) -> Change {
        switch try Self.checked(sd_journal_process(handle), "look what changed in the journal") {
        case Int32(SD_JOURNAL_APPEND): .appended
        case Int32(SD_JOURNAL_INVALIDATE): .filesChanged
        default: .none
        }
    }
}

/// What a cursor says (sd_journal_get_cursor(3) calls it opaque, and systemd has kept this form since 2011): needed only where
/// the entry it names is gone, to tell what was read before from what was not.
struct JournalPosition: Equatable {
    var boot: sd_id128_t
    var monotonic: UInt64
    var realtime: UInt64

    /// `nil` when it is no cursor as we know it.
    init?(cursor: String) {
        var boot: sd_id128_t?
        var monotonic: UInt64?
        var realtime: UInt64?
        for part in cursor.split(separator: ";") {
            let value = String(part.dropFirst(2))
            if part.hasPrefix("b=") {
                var id = sd_id128_t()
                if sd_id128_from_string(value, &id) == 0 { boot = id }
            } else if part.hasPrefix("m=") {
                monotonic = UInt64(value, radix: 16)
            } else if part.hasPrefix("t=") {
                realtime = UInt64(value, radix: 16)
            }
        }
        guard let boot, let monotonic, let realtime else { return nil }
        self.boot = boot
        self.monotonic = monotonic
        self.realtime = realtime
    }

    init(of journal: borrowing Journal) throws(JournalError) {
        (boot, monotonic) = try journal.monotonic()
        realtime = try journal.realtime()
    }

    /// Of the entry the journal is at; `nil` when it is damaged.
    static func readable(_ journal: borrowing Journal) throws(JournalError) -> JournalPosition? {
        do throws(JournalError) {
            return try JournalPosition(of: journal)
        } catch {
            guard error.isDamage else { throw error }
            return nil
        }
    }

    /// Whether `other` was written later: surely so within one boot, by the wall clock between two.
    func isBefore(_ other: JournalPosition) -> Bool {
        boot == other.boot ? monotonic < other.monotonic : realtime < other.realtime
    }

    static func == (left: JournalPosition, right: JournalPosition) -> Bool {
        left.boot == right.boot && left.monotonic == right.monotonic && left.realtime == right.realtime
    }
}

func == (left: sd_id128_t, right: sd_id128_t) -> Bool {
    left.qwords.0 == right.qwords.0 && left.qwords.1 == right.qwords.1
}
