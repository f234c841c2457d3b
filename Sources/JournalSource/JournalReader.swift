internal import BlockingExecutor
internal import CShims
internal import Glibc
package import LogModel
package import Ports

/// Reads the system's journal, on the thread "journal", whenever somebody asks for more.
///
/// Nobody asking, nothing is read: the journal is its own buffer. While it waits for new entries it sleeps in poll(2), and
/// wakes at most twice a second. Trouble (a journal that cannot be opened, a damaged file) is counted, said in
/// ``status``, and tried again after a pause; a read is then answered later, never with an error.
package final class JournalReader: ReplayableSource {
    /// Records of a chunk: so many are folded in under a millisecond.
    static let chunkRecordCount = 256
    /// Bytes of a chunk, before its last record is added.
    static let chunkByteCount = 128 * 1024

    private let thread = BlockingThread(name: "journal")
    private let shared = JournalMailbox()

    package init(_ configuration: JournalConfiguration, now: @escaping @Sendable () -> Timestamp) {
        let worker = JournalWorker(configuration, shared, now: now)
        thread.perform { worker.run() }
    }

    package var status: SourceStatus { shared.status }

    package func seek(_ start: SourceStart, through end: String?) {
        shared.post(.seek(start, through: end))
    }

    package func read(_ completion: @escaping @Sendable (SourceChunk) -> Void) {
        shared.post(.read(completion))
    }

    package func close(completion: @escaping @Sendable () -> Void) {
        shared.post(.close(completion))
        thread.close()
    }
}

extension JournalReader: Pingable {
    package var threadName: String { "journal" }
    /// A seek through many large files on a slow card takes seconds.
    package var silenceMax: Duration { .seconds(60) }

    package func ping(_ answer: @escaping @Sendable () -> Void) {
        shared.post(.ping(answer))
    }
}

/// What the reader's thread is asked, and how it says how it is.
final class JournalMailbox: Sendable {
    enum Message: Sendable {
        case seek(SourceStart, through: String?)
        case read(@Sendable (SourceChunk) -> Void)
        case ping(@Sendable () -> Void)
        case close(@Sendable () -> Void)
    }

    private let messages = Locked<[Message]>([])
    private let published = Locked(SourceStatus())
    /// eventfd(2): wakes the thread from poll(2).
    let descriptor: Int32

    init() {
        descriptor = logboom_eventfd()
        precondition(descriptor >= 0, "make an eventfd: the system refused")
    }

    deinit { Glibc.close(descriptor) }

    /// At most two reads, a seek, a ping and a close are under way: who posts bounds it.
    func post(_ message: Message) {
        messages.withLock { $0.append(message) }
        var one: UInt64 = 1
        // It fails only when the counter is near overflow, and then the thread wakes as well.
        _ = write(descriptor, &one, 8)
    }

    func take() -> [Message] {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return messages.withLock { messages in
            defer { messages.removeAll(keepingCapacity: true) }
            return messages
        }
    }

    var status: SourceStatus { published.withLock { $0 } }
    func publish(_ status: SourceStatus) { published.withLock { $0 = status } }
}
