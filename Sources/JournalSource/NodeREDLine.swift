internal import LogModel

/// Node-RED's own prefix on its standard output, `21 Nov 14:03:11 - [warn] [function:name] text` (its `util/log.js`). Journald
/// gives all of it one priority, so the level is read from here, and the node is an attribute.
struct NodeREDLine {
    var severity: Severity
    /// Type and name, or type and id; empty when the line is of Node-RED itself.
    var node: ByteView
    var text: ByteView

    /// `nil` when the line does not begin like that. A look at a few bytes for other lines.
    init?(_ line: ByteView) {
        var offset = 0
        func digits(_ count: ClosedRange<Int>) -> Bool {
            let start = offset
            while offset < line.count, offset - start < count.upperBound, line[offset] >= 0x30, line[offset] <= 0x39 {
                offset += 1
            }
            return offset - start >= count.lowerBound
        }
        func take(_ text: StaticString) -> Bool {
            guard line.count - offset >= text.utf8CodeUnitCount else { return false }
            for index in 0..<text.utf8CodeUnitCount where line[offset + index] != text.utf8Start[index] { return false }
            offset += text.utf8CodeUnitCount
            return true
        }
        func bracketed() -> ByteView? {
            guard take("["), let end = line[offset...].prefix(256).firstIndex(of: UInt8(ascii: "]")) else { return nil }
            defer { offset = end + 1 }
            return ByteView(rebasing: line[offset..<end])
        }
        guard digits(1...2), take(" ") else { return nil }
        // The month as the language of the system calls it, perhaps with a dot.
        guard let blank = line[offset...].prefix(16).firstIndex(of: 0x20), blank > offset else { return nil }
        offset = blank
        guard take(" "), digits(1...2), take(":"), digits(2...2), take(":"), digits(2...2), take(" - "),
            let word = bracketed(), let severity = Severity(word: word), take(" ")
        else { return nil }
        self.severity = severity
        node = ByteView(start: nil, count: 0)
        let start = offset
        if let name = bracketed(), name.contains(UInt8(ascii: ":")), take(" ") {
            node = name
        } else {
            offset = start
        }
        text = ByteView(rebasing: line[offset...])
    }
}
