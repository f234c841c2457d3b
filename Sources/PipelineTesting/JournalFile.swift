internal import Foundation

/// Entries of a journal, to be written into real journal files: any clock, any boot.
package struct JournalFixture: Sendable {
    /// `systemd-journal-remote` makes journal files of text (Debian package systemd-journal-remote).
    package static let tool = "/lib/systemd/systemd-journal-remote"
    package static var isAvailable: Bool { FileManager.default.isExecutableFile(atPath: tool) }

    /// Sixteen bytes in hexadecimal.
    package var boot: String
    /// Microseconds: since 1970, and since the boot. Both go on by ``step`` with each entry.
    package var realtime: Int64
    package var monotonic: Int64
    package var step: Int64 = 1000
    private var text = ""
    package private(set) var count = 0

    package init(boot: Int, realtime: Int64, monotonic: Int64 = 1_000_000) {
        let digits = String(boot, radix: 16)
        self.boot = String(repeating: "b", count: 32 - digits.count) + digits
        self.realtime = realtime
        self.monotonic = monotonic
    }

    /// One entry. A `message` may hold line ends; `fields` beside it are one line each.
    package mutating func add(_ message: String?, _ fields: [String: String] = [:]) {
        text += "__REALTIME_TIMESTAMP=\(realtime)\n__MONOTONIC_TIMESTAMP=\(monotonic)\n_BOOT_ID=\(boot)\n"
        var all = ["_TRANSPORT": "journal", "PRIORITY": "6", "_HOSTNAME": "pi", "SYSLOG_IDENTIFIER": "app"]
        all.merge(fields) { $1 }
        for (name, value) in all.sorted(by: { $0.key < $1.key }) where !value.isEmpty { text += "\(name)=\(value)\n" }
        // The journal export format (systemd.io/JOURNAL_EXPORT_FORMATS): a value with line ends goes with its length.
        if let message { text += message.contains("\n") ? "" : "MESSAGE=\(message)\n" }
        if let message, message.contains("\n") {
            let size = message.utf8.count
            text += "MESSAGE\n"
            precondition(size < 128, "the length's bytes must be text here")
            text += String(decoding: [UInt8(size), 0, 0, 0, 0, 0, 0, 0], as: UTF8.self) + message + "\n"
        }
        text += "\n"
        realtime += step
        monotonic += step
        count += 1
    }

    /// Writes a journal file at `path`, which appears there whole.
    package func write(to path: String) throws {
        let folder = try TemporaryDirectory(mode: 0o755)
        // Its own rule: the name ends with .journal.
        let made = folder.file("made.journal")
        let result = try ChildProcess.run([Self.tool, "--output=\(made)", "-"], input: text, limit: .seconds(120))
        guard result.end == .exited(0) else { throw TestingError("make a journal: \(result.errors)") }
        let staged = path + ".new"
        try FileManager.default.copyItem(atPath: made, toPath: staged)
        guard rename(staged, path) == 0 else { throw TestingError("move a journal to \(path): errno \(errno)") }
    }
}
