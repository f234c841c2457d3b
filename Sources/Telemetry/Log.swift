internal import Glibc
package import LogModel
internal import Synchronization

/// The daemon's own log, to standard error. One line a call, one `write(2)` a line, so lines of several threads never mix.
///
/// Says what the daemon does and never what it was sent: no log text, no values, no secrets. Safe from any thread.
package final class Log: Sendable {
    package enum Format: Sendable {
        /// `<3>` before the message: the journal reads it as the priority (sd-daemon(3)).
        case journal
        /// For a terminal: time, level, message; coloured when asked for.
        case text(isColored: Bool)
        /// One JSON object a line.
        case json
    }

    private let format: Format
    private let minimum: Atomic<UInt8>
    private let descriptor: Int32

    package init(format: Format, minimum: Severity, descriptor: Int32 = 2) {
        self.format = format
        self.minimum = Atomic(minimum.rawValue)
        self.descriptor = descriptor
    }

    /// Changes the lowest level written, from now on and for every thread.
    package func setMinimum(_ severity: Severity) {
        minimum.store(severity.rawValue, ordering: .relaxed)
    }

    package func debug(_ message: @autoclosure () -> String) { write(.debug, message) }
    package func info(_ message: @autoclosure () -> String) { write(.info, message) }
    package func notice(_ message: @autoclosure () -> String) { write(.notice, message) }
    /// Something went wrong that the daemon recovers from by itself.
    package func warning(_ message: @autoclosure () -> String) { write(.warn, message) }
    /// Counts were lost, or a person has to act.
    package func error(_ message: @autoclosure () -> String) { write(.error, message) }

    private func write(_ severity: Severity, _ message: () -> String) {
        guard severity.rawValue >= minimum.load(ordering: .relaxed) else { return }
        let text = Self.printable(message())
        var line: String
        switch format {
        case .journal:
            line = "<\(Self.priority(severity))>\(text)"
        case .text(let isColored):
            let word = Self.padded(severity)
            let time = Self.wallClock().rfc3339
            line =
                isColored
                ? "\(time.dropFirst(11).prefix(8)) \(Self.color(severity))\(word)\u{1B}[0m \(text)"
                : "\(time) \(word) \(text)"
        case .json:
            line =
                "{\"ts\":\"\(Self.wallClock().rfc3339)\",\"level\":\"\(severity.name)\",\"message\":\"\(Self.escaped(text))\"}"
        }
        line += "\n"
        // A log that cannot be written must not stop the daemon: there is nowhere to say so.
        _ = line.withUTF8 { bytes in Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    private static func wallClock() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Control characters out: an error text from a server must not steer a terminal or forge a line.
    private static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else { return text }
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 })
        )
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            if character == "\"" || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return escaped
    }

    private static func priority(_ severity: Severity) -> Int {
        switch severity {
        case .fatal: 2
        case .error: 3
        case .warn: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }

    private static func padded(_ severity: Severity) -> String {
        let name = "\(severity.name)"
        return name + String(repeating: " ", count: max(0, 6 - name.utf8.count))
    }

    private static func color(_ severity: Severity) -> String {
        switch severity {
        case .fatal, .error: "\u{1B}[31m"
        case .warn: "\u{1B}[33m"
        case .notice, .info: "\u{1B}[32m"
        case .debug, .trace: "\u{1B}[90m"
        }
    }
}
