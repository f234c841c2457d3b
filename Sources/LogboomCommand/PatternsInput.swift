import ArgumentParser
import Glibc
import JSONBytes
import LogModel
import Synchronization

/// What a line of a log file is.
enum LineFormat: String, ExpressibleByArgument, CaseIterable {
    /// The line is the message.
    case text
    /// A JSON object a line, named as any of the daemon's senders names its fields.
    case ndjson
    /// An entry of `journalctl -o json`.
    case journal

    /// What the first line that is not empty says about its file.
    static func detected(in line: ByteView) -> LineFormat {
        guard let first = line.first(where: { $0 != 0x20 && $0 != 0x09 }), first == UInt8(ascii: "{") else {
            return .text
        }
        var cursor = JSONCursor(line)
        var isJournal = false
        do throws(JSONSyntaxError) {
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                _ = try cursor.value()
                // Every entry has one of these address fields, whatever --output-fields says (journalctl(1)).
                if JournalReader.isField(key, "__REALTIME_TIMESTAMP") || JournalReader.isField(key, "__CURSOR") {
                    isJournal = true
                }
            }
            try cursor.finish()
        } catch {
            return .text
        }
        return isJournal ? .journal : .ndjson
    }
}

/// Ctrl-C, asked for between two reads. The second one ends the program at once.
enum Interruption {
    private static let flag = Atomic<Bool>(false)
    /// A pipe that the handler writes to, so that a signal just before a wait ends that wait too; -1 before ``install()``.
    private static let readEnd = Atomic<Int32>(-1)
    private static let writeEnd = Atomic<Int32>(-1)

    static var wasAsked: Bool { flag.load(ordering: .relaxed) }

    static func install() {
        // Both are set here, so that the handler does not run their initialisation.
        flag.store(false, ordering: .relaxed)
        var ends: [Int32] = [-1, -1]
        if pipe(&ends) == 0 {
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        }
        readEnd.store(ends[0], ordering: .relaxed)
        writeEnd.store(ends[1], ordering: .relaxed)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            let code = errno
            Interruption.flag.store(true, ordering: .relaxed)
            var mark: UInt8 = 0
            _ = write(Interruption.writeEnd.load(ordering: .relaxed), &mark, 1)
            errno = code
        }
        action.sa_flags = Int32(truncatingIfNeeded: SA_RESETHAND)
        _ = sigaction(SIGINT, &action, nil)
    }

    /// Waits until `descriptor` can be read, or has ended, or Ctrl-C came. For what may keep a reader waiting; a regular
    /// file never does.
    static func waitForInput(_ descriptor: Int32) {
        var ready = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: readEnd.load(ordering: .relaxed), events: Int16(POLLIN), revents: 0),
        ]
        // An error or a signal: the caller looks at the flag, then reads or asks again.
        _ = poll(&ready, 2, -1)
    }
}

/// Cuts what a descriptor gives into lines, in one buffer of fixed size. No copy but of the piece of a line that a read
/// ended in; no allocation after the start.
struct LineReader: ~Copyable {
    /// The buffer, and so the longest line that is seen whole. One read of so much costs next to nothing a byte.
    static let byteCountMax = 1 << 20

    enum Piece {
        case more
        case end
        /// A signal came; nothing was read.
        case interrupted
        case failed(code: Int32)
    }

    private let buffer: UnsafeMutablePointer<UInt8>
    private var start = 0
    private var end = 0
    /// Bytes from `start` on without a line end.
    private var searched = 0
    /// The rest of a line that was too long is passed over.
    private var skips = false

    init() {
        buffer = .allocate(capacity: Self.byteCountMax)
    }

    deinit {
        buffer.deallocate()
    }

    /// Reads once. Views given before end here.
    mutating func fill(from descriptor: Int32) -> (Piece, byteCount: Int) {
        if start > 0 {
            memmove(buffer, buffer + start, end - start)
            end -= start
            start = 0
        }
        let count = read(descriptor, buffer + end, Self.byteCountMax - end)
        if count > 0 {
            end += count
            return (.more, count)
        }
        if count == 0 { return (.end, 0) }
        return (errno == EINTR ? .interrupted : .failed(code: errno), 0)
    }

    /// The next whole line without its end (LF or CR LF), and whether it was too long and is only its beginning; `nil` when
    /// more must be read first. The view is valid until the next ``fill(from:)``.
    mutating func next() -> (line: ByteView, wasCut: Bool)? {
        while true {
            let from = start + searched
            guard let hit = memchr(buffer + from, 0x0A, end - from) else {
                if skips {
                    (start, end, searched) = (0, 0, 0)
                    return nil
                }
                searched = end - start
                guard searched == Self.byteCountMax else { return nil }
                skips = true
                let line = ByteView(start: buffer, count: searched)
                (start, end, searched) = (0, 0, 0)
                return (line, true)
            }
            let lineStart = start
            let lineEnd = buffer.distance(to: hit.assumingMemoryBound(to: UInt8.self))
            start = lineEnd + 1
            searched = 0
            if skips {
                skips = false
                continue
            }
            return (view(lineStart, lineEnd), false)
        }
    }

    /// Whether what was read begins as gzip does (RFC 1952, section 2.3.1).
    var beginsCompressed: Bool { end - start >= 2 && buffer[start] == 0x1F && buffer[start + 1] == 0x8B }

    /// What follows the last line end, when all was read; `nil` when nothing does. Then the reader is as new.
    mutating func last() -> ByteView? {
        defer {
            (start, end, searched) = (0, 0, 0)
            skips = false
        }
        return end > start && !skips ? view(start, end) : nil
    }

    @inline(__always)
    private func view(_ start: Int, _ end: Int) -> ByteView {
        let isReturn = end > start && buffer[end - 1] == 0x0D
        return ByteView(start: buffer + start, count: end - start - (isReturn ? 1 : 0))
    }
}

/// Reads an entry of `journalctl -o json` (systemd.io/JOURNAL_EXPORT_FORMATS, "Journal JSON Format"): a field is a string;
/// an array of numbers when its bytes are no text; an array of either when the entry has it more than once; null when it is
/// longer than journalctl prints.
struct JournalReader: ~Copyable {
    /// Room for one of each field that is read.
    private static let scratchByteCount = Limits.messageByteCountMax + 4 * 256

    private let scratch: UnsafeMutablePointer<UInt8>
    private var used = 0

    init() {
        scratch = .allocate(capacity: Self.scratchByteCount)
    }

    deinit {
        scratch.deallocate()
    }

    enum Entry {
        /// Views into the line or into the reader, valid until the next call.
        case record(LogRecord)
        case withoutMessage
        case noEntry
    }

    mutating func read(_ line: ByteView) -> Entry {
        used = 0
        var record = LogRecord(message: ByteView(start: nil, count: 0))
        var unit = record.message
        var cursor = JSONCursor(line)
        do throws(JSONSyntaxError) {
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                let value = try cursor.value()
                // Two bytes tell the six apart from most of the others.
                guard key.bytes.count > 3 else { continue }
                switch (key.bytes[0], key.bytes[1]) {
                case (UInt8(ascii: "M"), UInt8(ascii: "E")) where Self.isField(key, "MESSAGE"):
                    record.message = text(value, byteCountMax: Limits.messageByteCountMax)
                case (UInt8(ascii: "P"), UInt8(ascii: "R")) where Self.isField(key, "PRIORITY"):
                    if value.bytes.count == 1, let digit = value.bytes.first, digit >= 0x30 {
                        record.severity = Severity(syslogPriority: Int(digit - 0x30))
                    }
                case (UInt8(ascii: "S"), UInt8(ascii: "Y")) where Self.isField(key, "SYSLOG_IDENTIFIER"):
                    record.source = text(value, byteCountMax: Limits.nameByteCountMax)
                case (UInt8(ascii: "_"), UInt8(ascii: "S")) where Self.isField(key, "_SYSTEMD_UNIT"):
                    unit = text(value, byteCountMax: Limits.nameByteCountMax)
                case (UInt8(ascii: "_"), UInt8(ascii: "H")) where Self.isField(key, "_HOSTNAME"):
                    record.host = text(value, byteCountMax: Limits.nameByteCountMax)
                case (UInt8(ascii: "_"), UInt8(ascii: "_")) where Self.isField(key, "__REALTIME_TIMESTAMP"):
                    record.timestamp = Self.timestamp(value.bytes)
                default: break
                }
            }
            try cursor.finish()
        } catch {
            return .noEntry
        }
        if record.source.isEmpty { record.source = unit }
        return record.message.isEmpty ? .withoutMessage : .record(record)
    }

    static func isField(_ key: JSONItem, _ name: StaticString) -> Bool {
        guard let base = key.bytes.baseAddress, key.bytes.count == name.utf8CodeUnitCount else { return false }
        return memcmp(base, name.utf8Start, key.bytes.count) == 0
    }

    /// Microseconds since the epoch.
    private static func timestamp(_ digits: ByteView) -> Timestamp? {
        guard (1...16).contains(digits.count) else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int64(byte - 0x30)
        }
        let (nanoseconds, overflow) = value.multipliedReportingOverflow(by: 1000)
        return overflow ? nil : Timestamp(nanoseconds: nanoseconds)
    }

    private mutating func text(_ item: JSONItem, byteCountMax: Int) -> ByteView {
        switch item.kind {
        case .string where !item.hasEscapes:
            return JSONText.cut(item.bytes, byteCountMax: byteCountMax)
        case .string:
            let room = UnsafeMutableBufferPointer(
                start: scratch + used,
                count: min(byteCountMax, Self.scratchByteCount - used)
            )
            let count = JSONText.unescape(item.bytes, into: room).count
            return keep(count)
        case .array:
            return firstOf(item, byteCountMax: byteCountMax)
        case .object, .number, .bool, .null:
            return ByteView(start: nil, count: 0)
        }
    }

    /// The bytes of an array of numbers, or the first value of a field that the entry has more than once.
    private mutating func firstOf(_ array: JSONItem, byteCountMax: Int) -> ByteView {
        var count = 0
        var cursor = JSONCursor(array.bytes)
        do throws(JSONSyntaxError) {
            try cursor.enterArray()
            while try cursor.nextElement() {
                let element = try cursor.value()
                switch element.kind {
                case .string: return text(element, byteCountMax: byteCountMax)
                case .array:
                    // One level only: the bytes of the first value. Deeper is nothing that journalctl writes.
                    return element.bytes.count > 1 && element.bytes[1] != UInt8(ascii: "[")
                        ? firstOf(element, byteCountMax: byteCountMax) : ByteView(start: nil, count: 0)
                case .number:
                    var value = 0
                    for byte in element.bytes.prefix(4) { value = value * 10 + Int(byte &- 0x30) }
                    guard value < 256, count < byteCountMax, used + count < Self.scratchByteCount else { break }
                    scratch[used + count] = UInt8(value)
                    count += 1
                case .object, .bool, .null: break
                }
            }
        } catch {
            assertionFailure("an item of a cursor is not JSON: \(error)")
        }
        return keep(count)
    }

    private mutating func keep(_ count: Int) -> ByteView {
        defer { used += count }
        return ByteView(start: scratch + used, count: count)
    }
}
