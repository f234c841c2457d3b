internal import CShims
internal import CSystemd
internal import Glibc
internal import LogModel
internal import Ports
internal import Telemetry

/// The journal's thread: answers reads, waits for new entries, and opens the journal anew when it breaks.
///
/// `@unchecked Sendable`: after `init` only its thread touches it.
final class JournalWorker: @unchecked Sendable {
    /// After the journal told of new entries, so long for more of them: lines come in groups, and a busy service must not wake
    /// us for each. Half a second makes two wake-ups a second at most.
    private static let gatherMilliseconds: Int32 = 500
    /// Damaged entries in a row that are stepped over at the end of a chunk: more of them is a file that needs to be opened anew.
    private static let damagedRunMax = 16
    /// Pauses before the journal is opened again, doubled each time.
    private static let reopenMilliseconds: ClosedRange<Int32> = 500...60_000

    private let configuration: JournalConfiguration
    private let mailbox: JournalMailbox
    private let now: @Sendable () -> Timestamp
    private var status = SourceStatus()
    private var reads: [@Sendable (SourceChunk) -> Void] = []
    private var isClosed = false

    private var joiner = EntryJoiner()
    private var fields = EntryFields()

    private var start = SourceStart.first
    private var end: String?
    private var endPosition: JournalPosition?
    private var isEnded = false
    /// Whether the next entry is the first of all.
    private var isFirst = true
    /// The last entry that was read; after opening anew, reading goes on behind it.
    private var cursor: String?
    private var reopenPause = JournalWorker.reopenMilliseconds.lowerBound
    /// Entries read when the pages of the journal were last given back.
    private var releasedAt: Int?

    init(_ configuration: JournalConfiguration, _ mailbox: JournalMailbox, now: @escaping @Sendable () -> Timestamp) {
        self.configuration = configuration
        self.mailbox = mailbox
        self.now = now
    }

    /// Until it is closed.
    func run() {
        // libsystemd reads mapped files. Without this a file that was cut short, or a card that gives an error, would end the
        // daemon, and end it again at the same entry after each start.
        _ = logboom_survive_lost_pages()
        while !isClosed {
            _ = takeMessages()
            guard !reads.isEmpty else {
                if !isClosed { _ = wait(nil, for: nil) }
                continue
            }
            do throws(JournalError) {
                var journal = try Journal(directory: configuration.directory)
                // Watch first, then look: else what is written in between is seen only with what comes after it.
                _ = journal.descriptor()
                try read(&journal)
            } catch {
                // What was taken of an unfinished chunk comes again.
                var waste = SourceChunk()
                joiner.flush(into: &waste)
                isFirst = cursor == nil && start == .first
                status.errorCount += 1
                status.lastError = error.description
                status.isAtEnd = false
                mailbox.publish(status)
                pause(reopenPause)
                reopenPause = min(reopenPause * 2, Self.reopenMilliseconds.upperBound)
            }
        }
    }

    // MARK: Messages

    /// Carries out what was asked meanwhile. Returns whether the place changed.
    private func takeMessages() -> Bool {
        var isMoved = false
        for message in mailbox.take() {
            switch message {
            case .seek(let start, let end):
                self.start = start
                self.end = end
                endPosition = end.flatMap { JournalPosition(cursor: $0) }
                isEnded = false
                isFirst = start == .first
                cursor = nil
                isMoved = true
            case .read(let completion):
                reads.append(completion)
            case .ping(let answer):
                answer()
            case .close(let completion):
                isClosed = true
                completion()
            }
        }
        return isMoved
    }

    /// Sleeps until something was asked, the journal changed, or the time is up. Returns whether the journal changed.
    private func wait(_ descriptor: Int32?, for milliseconds: Int32?) -> Bool {
        var waited = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
        if let descriptor, descriptor >= 0 {
            waited.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
        _ = poll(&waited, nfds_t(waited.count), milliseconds ?? -1)
        return waited.count > 1 && waited[1].revents != 0
    }

    /// A pause during which only messages are answered; ends early when the reader is closed or sent elsewhere.
    private func pause(_ milliseconds: Int32) {
        let end = Self.monotonicMilliseconds() + Int64(milliseconds)
        while !isClosed {
            let left = end - Self.monotonicMilliseconds()
            guard left > 0 else { return }
            _ = wait(nil, for: Int32(clamping: left))
            if takeMessages() { return }
        }
    }

    private static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    // MARK: Reading

    /// Answers reads from one open journal, until it is closed; throws when it must be opened anew.
    private func read(_ journal: inout Journal) throws(JournalError) {
        var place = try JournalPlace(&journal, cursor.map { .after($0) } ?? start, configuration, now())
        if place.isLost { status.lostPlaceCount += 1 }
        while !isClosed {
            if takeMessages() {
                // A seek: the place is found anew, by who called.
                return
            }
            guard !reads.isEmpty else {
                _ = wait(nil, for: nil)
                continue
            }
            let chunk = try chunk(&journal, &place)
            _ = countLostPages()
            if let chunk {
                reopenPause = Self.reopenMilliseconds.lowerBound
                status.lastError = nil
                mailbox.publish(status)
                releasePages(after: 1024)
                reads.removeFirst()(chunk)
                continue
            }
            status.isAtEnd = true
            status.lastError = nil
            mailbox.publish(status)
            releasePages(after: 64)
            if try waitForEntries(&journal) {
                // Files came or went: rotation, vacuuming. What libsystemd iterates over is not to be trusted then
                // (systemd issues 29016, 43649), so the place is found anew by the last cursor.
                guard let cursor else { continue }
                place = try JournalPlace(&journal, .after(cursor), configuration, now())
                if place.isLost { status.lostPlaceCount += 1 }
            }
        }
    }

    /// Gives back the pages of the journal once so many entries were read since the last time, and those that opening took.
    ///
    /// libsystemd maps windows of 8 MiB and keeps dozens of them (`WINDOWS_MIN` in mmap-cache.c), so everything that was read
    /// stays resident: catching up with 48 MB of journal left 58 MB. The kernel could take them back, but whoever looks sees a log
    /// daemon that has grown by the size of the journal.
    private func releasePages(after entryCount: Int) {
        guard releasedAt.map({ status.readCount - $0 >= entryCount }) ?? true else { return }
        releasedAt = status.readCount
        // The second: files that were not closed.
        ProcessMemory.releasePages(ofFilesEndingIn: [".journal", ".journal~"])
    }

    /// Sleeps until the journal has something new. Returns whether its files changed.
    private func waitForEntries(_ journal: inout Journal) throws(JournalError) -> Bool {
        let limit = journal.waitMilliseconds(now: UInt64(Self.monotonicMilliseconds()) * 1000)
        let isChanged = wait(journal.descriptor(), for: limit)
        guard isChanged || limit != nil else { return false }
        if isChanged, end == nil { pauseForMore() }
        return try journal.process() == .filesChanged
    }

    /// Lets a group of lines come together.
    private func pauseForMore() {
        let end = Self.monotonicMilliseconds() + Int64(Self.gatherMilliseconds)
        while true {
            let left = end - Self.monotonicMilliseconds()
            guard left > 0 else { return }
            // A message ends it: somebody waits for an answer.
            var waited = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&waited, 1, Int32(clamping: left)) != 0 { return }
        }
    }

    /// The next entries, as far as a chunk holds them; `nil` when there are none.
    private func chunk(_ journal: inout Journal, _ place: inout JournalPlace) throws(JournalError) -> SourceChunk? {
        var chunk = SourceChunk()
        var lookedCount = 0
        if isEnded {
            chunk.isLast = true
            return chunk
        }
        while true {
            let isFull =
                chunk.entryCount >= JournalReader.chunkRecordCount || chunk.byteCount >= JournalReader.chunkByteCount
                || lookedCount >= 4 * JournalReader.chunkRecordCount
            // A trace is not cut in two at the end of a chunk, unless it would make the chunk twice as large.
            if isFull, !joiner.isHolding || lookedCount >= 8 * JournalReader.chunkRecordCount { break }
            guard try place.next(&journal) else {
                if end != nil { isEnded = true }
                break
            }
            if let end {
                if journal.isAt(end) {
                    isEnded = true
                } else if let endPosition, let position = try JournalPosition.readable(journal),
                    endPosition.isBefore(position)
                {
                    // The entry at which the stretch ended is gone, and this one came after it.
                    isEnded = true
                    break
                }
            }
            lookedCount += 1
            if isFirst {
                chunk.firstCursor = try readableCursor(journal)
                isFirst = chunk.firstCursor == nil
            }
            try take(journal, into: &chunk)
            if isEnded { break }
        }
        joiner.flush(into: &chunk)
        status.joinedCount = joiner.joinedCount
        chunk.isLast = isEnded
        guard lookedCount > 0 || isEnded else { return nil }
        if lookedCount > 0 {
            // After an entry that was left out the journal stands on that one: its cursor is never given away.
            cursor = try lastCursor(&journal)
            chunk.cursor = cursor
        }
        return chunk
    }

    /// The cursor of the entry the journal stands on or, as a damaged one has none and no record either, of the last one
    /// before it. A chunk without a cursor could be counted and not be told from what comes after it, so there is none:
    /// then the chunk is thrown away, and read again from a journal opened anew, which leaves the damaged entries out.
    private func lastCursor(_ journal: inout Journal) throws(JournalError) -> String {
        var backCount = 0
        while true {
            if let cursor = try readableCursor(journal) { return cursor }
            guard backCount < Self.damagedRunMax, try journal.previous() else {
                throw JournalError(attempt: "find an entry of the journal that can be read", code: EBADMSG)
            }
            backCount += 1
        }
    }

    /// Counts the pages that could not be read since the last time. Returns whether there were any.
    private func countLostPages() -> Bool {
        let count = Int(logboom_take_lost_page_count())
        status.lostPageCount += count
        return count > 0
    }

    private func readableCursor(_ journal: borrowing Journal) throws(JournalError) -> String? {
        do throws(JournalError) {
            return try journal.cursor()
        } catch {
            guard error.isDamage else { throw error }
            return nil
        }
    }

    /// One entry becomes a record, unless it is ours or says nothing.
    private func take(_ journal: borrowing Journal, into chunk: inout SourceChunk) throws(JournalError) {
        status.readCount += 1
        status.isAtEnd = false
        fields.reset()
        // Those lost on the way here took nothing from this entry.
        _ = countLostPages()
        do throws(JournalError) {
            try journal.forEachField { fields.take($0, $1) }
        } catch {
            // A damaged object: what was read of the entry counts.
            guard error.isDamage else { throw error }
            status.damagedCount += 1
        }
        // Zeros stand where its text was. What else lay on that page is told by its own damage.
        guard !countLostPages() else {
            status.damagedCount += 1
            return
        }
        guard let position = try JournalPosition.readable(journal) else {
            status.damagedCount += 1
            return
        }
        let timestamp = Timestamp(nanoseconds: Self.nanoseconds(position.realtime))
        status.lastEntryAt = timestamp
        if fields.isOwn(configuration.identity) {
            status.ownCount += 1
            return
        }
        guard !fields.isEmpty(.message) else {
            status.emptyCount += 1
            return
        }
        joiner.take(
            fields,
            at: timestamp,
            uptime: MonotonicTime(nanoseconds: Self.nanoseconds(position.monotonic)),
            into: &chunk
        )
    }

    /// Of a damaged entry, microseconds may be any number.
    private static func nanoseconds(_ microseconds: UInt64) -> Int64 {
        Int64(min(microseconds, UInt64(Int64.max) / 1000)) * 1000
    }
}
