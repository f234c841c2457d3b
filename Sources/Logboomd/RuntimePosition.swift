internal import Glibc
internal import LogModel
internal import Ports

/// How far the journal was counted, for the next process: a file in the runtime directory, which is memory, so that it costs no
/// write to the disk. It outlives the process, and a power cut takes it.
///
/// Written before a stretch of the journal is sent and after each receipt, so it knows of all that may be anywhere. Where
/// it cannot be written it is removed: an old one would say less than there is.
///
/// `@unchecked Sendable`: made on the main thread, used on the event loop.
final class RuntimePosition: @unchecked Sendable {
    private static let name = "journal-position"
    private let path: String?
    /// Times it could not be written.
    private(set) var failureCount = 0

    init(directory: String?) {
        path = directory.map { "\($0)/\(Self.name)" }
    }

    /// What the last process left; `nil` when there is none.
    func read() -> SourcePosition? {
        guard let path else { return nil }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: SourcePosition.textByteCountMax)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return count > 0 ? SourcePosition(text: Array(buffer.prefix(count))) : nil
    }

    /// Whole or not at all, and not synced: some 50 µs in a file system that is memory.
    func write(_ position: SourcePosition) {
        guard let path else { return }
        let temporary = path + ".new"
        let text = position.text
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        var isWritten = false
        if descriptor >= 0 {
            isWritten = Glibc.write(descriptor, text, text.count) == text.count
            isWritten = Glibc.close(descriptor) == 0 && isWritten
        }
        guard isWritten, rename(temporary, path) == 0 else {
            failureCount += 1
            _ = unlink(temporary)
            _ = unlink(path)
            return
        }
    }
}
