package import LogModel

/// Records that a replayable source handed over together, with the cursor up to which they reach.
///
/// Immutable, and owns its bytes: made on the source's thread, read on the loop.
package struct SourceChunk: Sendable {
    /// One record; ranges into ``SourceChunk/bytes``.
    struct Entry: Sendable {
        var message: Range<Int>
        var source: Range<Int>
        var host: Range<Int>
        var severity: Severity?
        var timestamp: Timestamp
        /// Into ``SourceChunk/attributes``.
        var attributes: Range<Int>
    }

    struct Attribute: Sendable {
        var key: Range<Int>
        var value: Range<Int>
    }

    /// The cursor of the last entry looked at, whether or not a record came of it; `nil` when there was none.
    package var cursor: String?
    /// The cursor of the first entry looked at after ``SourceStart/first``; `nil` otherwise.
    package var firstCursor: String?
    /// Whether the stretch that ``ReplayableSource/seek(_:through:)`` named ends with this chunk.
    package var isLast = false
    package private(set) var entryCount = 0

    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    private var attributes: [Attribute] = []

    package init() {}

    /// Bytes of its records.
    package var byteCount: Int { bytes.count }
    package var isEmpty: Bool { entries.isEmpty }

    /// Copies a record in. What the views have more than their limits (``Limits``) is cut off.
    package mutating func append(_ record: LogRecord, at timestamp: Timestamp) {
        let message = store(record.message, Limits.messageByteCountMax)
        let source = store(record.source, Limits.nameByteCountMax)
        let host = store(record.host, Limits.nameByteCountMax)
        let first = attributes.count
        for attribute in record.attributes.prefix(Limits.attributeCountMax) {
            let key = store(attribute.key, Limits.attributeKeyByteCountMax)
            attributes.append(Attribute(key: key, value: store(attribute.value, Limits.sampleByteCountMax)))
        }
        entries.append(
            Entry(
                message: message,
                source: source,
                host: host,
                severity: record.severity,
                timestamp: timestamp,
                attributes: first..<attributes.count
            )
        )
        entryCount += 1
    }

    private mutating func store(_ view: ByteView, _ byteCountMax: Int) -> Range<Int> {
        let start = bytes.count
        bytes.append(contentsOf: ByteView(rebasing: view.prefix(byteCountMax)))
        return start..<bytes.count
    }

    /// Calls `body` for each record in order. Its views live as long as the call. Allocates once a chunk.
    package func forEachRecord(_ body: (LogRecord) -> Void) {
        bytes.withUnsafeBufferPointer { bytes in
            let views = attributes.map { attribute in
                AttributeView(
                    key: ByteView(rebasing: bytes[attribute.key]),
                    value: ByteView(rebasing: bytes[attribute.value])
                )
            }
            views.withUnsafeBufferPointer { views in
                for entry in entries {
                    var record = LogRecord(message: ByteView(rebasing: bytes[entry.message]))
                    record.source = ByteView(rebasing: bytes[entry.source])
                    record.host = ByteView(rebasing: bytes[entry.host])
                    record.severity = entry.severity
                    record.timestamp = entry.timestamp
                    record.attributes = UnsafeBufferPointer(rebasing: views[entry.attributes])
                    body(record)
                }
            }
        }
    }
}

/// Where a replayable source begins to read.
package enum SourceStart: Sendable, Equatable {
    /// As its configuration says for the first time.
    case first
    /// At the entry of this cursor.
    case at(String)
    /// Behind the entry of this cursor.
    case after(String)

    /// Where a stretch begins, as ``SourceStretch/from`` has it: at an entry for the very first, behind one for all others.
    package init(from: String?) {
        guard let from else {
            self = .first
            return
        }
        self = from.hasPrefix(Self.atMark) ? .at(String(from.dropFirst())) : .after(from)
    }

    /// No cursor begins with it.
    package static let atMark = "@"
}

/// A source that keeps what it has, so that it can be read again from any cursor: the journal. It is its own buffer, and so it
/// is read only when there is room.
package protocol ReplayableSource: Sendable {
    /// Goes to `start`; what is read from then on ends with the entry of the cursor `end`, or, when that is gone, before what
    /// comes after it. With `end` nil it never ends. Not while a ``read(_:)`` is unanswered.
    func seek(_ start: SourceStart, through end: String?)

    /// Hands over what comes next, as soon as there is something: at most a chunk of bounded size a call. `completion` is
    /// called exactly once, on the source's thread, unless the source is closed before.
    func read(_ completion: @escaping @Sendable (SourceChunk) -> Void)

    func close(completion: @escaping @Sendable () -> Void)

    var status: SourceStatus { get }
}

/// How the reading of a replayable source goes; for `/stats`, `/metrics` and `logboom status`.
package struct SourceStatus: Sendable, Equatable {
    /// Entries looked at since the start.
    package var readCount = 0
    /// Of them, our own lines.
    package var ownCount = 0
    /// Of them, those with no message, or with nothing in it.
    package var emptyCount = 0
    /// Entries that became part of another's record: lines of a stack trace, parts of a container's long line.
    package var joinedCount = 0
    /// Of the entries, those that could be read in part only: damaged on disk.
    package var damagedCount = 0
    /// Pages of it that could not be read: a file that was cut short while it was open, an error of the disk.
    package var lostPageCount = 0
    /// Times that the source could not be read, or had to be opened anew.
    package var errorCount = 0
    /// Times that the entry of a cursor was gone: vacuumed, or in a file that is damaged.
    package var lostPlaceCount = 0
    /// The last trouble; `nil` when it is over.
    package var lastError: String?
    /// When the last entry that was read was written.
    package var lastEntryAt: Timestamp?
    /// Whether everything there is was read.
    package var isAtEnd = false

    package init() {}
}
