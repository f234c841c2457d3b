import Glibc
import Settings

/// Standard output or standard error: where text goes, how wide it is, whether it may be coloured.
struct Output: Sendable {
    static let standard = Output(descriptor: STDOUT_FILENO)
    static let error = Output(descriptor: STDERR_FILENO)
    /// Taken once: the program changes nothing in it.
    static let environment = SettingsSource.processEnvironment()

    let descriptor: Int32

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Writes all of `text`; `false` when the reader has gone, which ends a stream quietly.
    @discardableResult
    func write(_ text: String) -> Bool {
        write(Array(text.utf8))
    }

    /// Writes all of `bytes`.
    @discardableResult
    func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // A terminal that another program made non-blocking: wait until it takes more.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Writes a JSON document on lines of its own, with what a terminal would obey escaped.
    func writeJSON(_ bytes: [UInt8]) {
        let text = DisplayText.cleanJSON(bytes)
        write(text.hasSuffix("\n") ? text : text + "\n")
    }

    /// Columns to fill: those of the terminal (ioctl_tty(2), TIOCGWINSZ), else `COLUMNS`; `nil`, no bound, for a pipe or a
    /// file without it, so that nothing is cut out of what a program reads.
    func columnCount(environment: [String: String] = Output.environment) -> Int? {
        if isTerminal {
            var size = winsize()
            if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
        }
        if let text = environment["COLUMNS"], let count = Int(text), count > 0 { return count }
        return isTerminal ? 80 : nil
    }

    /// Whether to colour: as asked; by default on a terminal that can, unless `NO_COLOR` is set (no-color.org).
    func isColored(_ choice: ColorChoice, environment: [String: String] = Output.environment) -> Bool {
        switch choice {
        case .always: true
        case .never: false
        case .auto: isTerminal && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
        }
    }
}

/// Terminal colours as SGR sequences (ECMA-48, 8.3.117); nothing when they are not wanted.
struct Style: Sendable {
    var isColored: Bool

    func header(_ text: String) -> String { wrap("1", text) }

    /// A level's word in the colour people expect.
    func level(_ text: String, named level: String) -> String {
        switch level.uppercased() {
        case "FATAL": wrap("1;31", text)
        case "ERROR": wrap("31", text)
        case "WARN": wrap("33", text)
        case "NOTICE": wrap("36", text)
        case "INFO": wrap("32", text)
        case "DEBUG", "TRACE": wrap("2", text)
        default: text
        }
    }

    /// The daemon's condition: green, yellow or red.
    func health(_ health: Health, _ text: String) -> String {
        switch health {
        case .healthy: wrap("32", text)
        case .degraded: wrap("33", text)
        case .unhealthy: wrap("31", text)
        }
    }

    private func wrap(_ code: String, _ text: String) -> String {
        isColored ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
