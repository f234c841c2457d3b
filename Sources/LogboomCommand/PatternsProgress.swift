import LogModel

/// How far the reading is, on one line of a terminal that is written again ten times a second at most.
struct ProgressBar {
    static let interval = Duration.milliseconds(100)

    var width: Int
    /// `nil`: nobody knows, as with a pipe; then there is no share and no time left.
    var byteCountTotal: Int?
    private let start = ContinuousClock.now
    private var lastShown = ContinuousClock.now
    private var isShown = false

    init(width: Int) {
        self.width = width
    }

    mutating func update(byteCount: Int, lineCount: Int) {
        let now = ContinuousClock.now
        guard now - lastShown >= Self.interval else { return }
        lastShown = now
        isShown = true
        Output.error.write("\r" + line(byteCount: byteCount, lineCount: lineCount, elapsed: now - start) + "\u{1B}[K")
    }

    /// Takes the line away.
    mutating func clear() {
        if isShown { Output.error.write("\r\u{1B}[K") }
        isShown = false
    }

    /// The line for a moment; never as wide as the terminal, which would begin a new line.
    func line(byteCount: Int, lineCount: Int, elapsed: Duration) -> String {
        let seconds = max(elapsed / .seconds(1), 0.001)
        let rate =
            Figures.short(Double(lineCount) / seconds, "lines/s") + "  "
            + Figures.short(Double(byteCount) / seconds, "B/s")
        guard let total = byteCountTotal, total > 0 else {
            return String("\(Figures.counted(lineCount, "line"))  \(rate)".prefix(max(0, width - 1)))
        }
        // A file may grow while it is read.
        let share = min(1, Double(byteCount) / Double(total))
        let left = share > 0 ? seconds / share - seconds : 0
        let figures = " \(Int(share * 100))%  \(rate)  \(DateText.shortSpan(seconds: Int64(left.rounded(.up)))) left"
        let room = min(40, width - 1 - figures.count - 2)
        guard room >= 5 else { return String(figures.prefix(max(0, width - 1))) }
        let filled = Int(share * Double(room))
        return "[" + String(repeating: "=", count: filled) + String(repeating: " ", count: room - filled) + "]"
            + figures
    }
}

/// Numbers as people read them.
enum Figures {
    /// Three digits, a prefix of the SI and the unit: `950 B`, `21.5 kB`, `1.62 M lines/s`.
    static func short(_ value: Double, _ unit: String) -> String {
        let separator = unit.count > 3 ? " " : ""
        var rest = value
        for prefix in ["", "k", "M", "G", "T"] {
            guard rest < 999.5 || prefix == "T" else {
                rest /= 1000
                continue
            }
            let isWhole = prefix.isEmpty || rest >= 99.95
            let digits = isWhole ? String(Int(rest.rounded())) : fixed(rest, digitCount: rest < 9.995 ? 2 : 1)
            return digits + " " + prefix + (prefix.isEmpty ? "" : separator) + unit
        }
        return ""
    }

    /// With so many digits after the point.
    static func fixed(_ value: Double, digitCount: Int) -> String {
        var scale = 1
        for _ in 0..<digitCount { scale *= 10 }
        let scaled = Int((value * Double(scale)).rounded())
        guard digitCount > 0 else { return String(scaled) }
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: digitCount - fraction.count) + fraction
    }

    /// A part of a whole in per cent: `12.3%`, `<0.1%` for what is there but rounds to nothing.
    static func share(_ part: Int, of whole: Int) -> String {
        guard whole > 0, part > 0 else { return "0.0%" }
        let share = Double(part) / Double(whole) * 100
        return share < 0.05 ? "<0.1%" : fixed(share, digitCount: 1) + "%"
    }
}
