/// Makes text from anywhere fit to print on a terminal. Log text is hostile: it may hold escape sequences that repaint the
/// screen or answer as if typed, direction controls that show it in another order, and marks that pile up.
enum DisplayText {
    /// Marks drawn on one character; more only serve to cover the lines above.
    static let markCountMax = 2
    /// What stands at the end of a cut text; one column.
    static let cutMark: Unicode.Scalar = "…"

    /// `text` on one line, without anything that a terminal obeys: whole CSI sequences (colours) are left out, line ends and
    /// other controls are shown escaped (`\n`, `\x1b`), direction controls and other invisible ones left out. At most
    /// `widthMax` columns wide, the last of them ``cutMark`` when something was cut. Linear; stops at the cut.
    static func clean(_ text: String, widthMax: Int? = nil) -> String {
        var line = Line(widthMax: widthMax)
        var markCount = 0
        let scalars = text.unicodeScalars
        var position = scalars.startIndex
        while position < scalars.endIndex, !line.isCut {
            if let end = controlSequenceEnd(scalars, from: position) {
                position = end
                continue
            }
            let scalar = scalars[position]
            position = scalars.index(after: position)
            switch kind(of: scalar) {
            case .visible(let columns):
                markCount = 0
                line.append(scalar, columns: columns)
            case .mark:
                markCount += 1
                if markCount <= markCountMax { line.append(scalar, columns: 0) }
            case .invisible: break
            case .unknown:
                markCount = 0
                line.append("\u{FFFD}", columns: 1)
            case .control:
                markCount = 0
                for piece in escaped(scalar) where !line.isCut { line.append(piece, columns: 1) }
            }
        }
        return String(line.scalars)
    }

    /// A line that grows until it is full.
    private struct Line {
        let widthMax: Int?
        private(set) var scalars = String.UnicodeScalarView()
        private(set) var isCut = false
        private var width = 0
        /// How many scalars fit when the last column is needed for ``cutMark``.
        private var keptCount = 0
        private var count = 0

        init(widthMax: Int?) {
            self.widthMax = widthMax
        }

        mutating func append(_ scalar: Unicode.Scalar, columns: Int) {
            guard let widthMax, width + columns > widthMax else {
                // A mark needs something to stand on, or it would be drawn on what comes before the text.
                if columns == 0, count == 0 { return }
                scalars.append(scalar)
                width += columns
                count += 1
                if let widthMax, width < widthMax { keptCount = count }
                return
            }
            isCut = true
            scalars.removeLast(count - keptCount)
            if widthMax > 0 { scalars.append(cutMark) }
        }
    }

    /// Columns that clean text takes.
    static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { sum, scalar in
            if case .visible(let columns) = kind(of: scalar) { sum + columns } else { sum }
        }
    }

    /// JSON of the daemon with everything that a terminal would obey written as `\uXXXX`: the same document, since such
    /// characters can stand in strings only.
    static func cleanJSON(_ bytes: [UInt8]) -> String {
        // Nearly all of it is plain: taken over as it stands, in runs between what is not.
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var start = 0
        while start < bytes.count {
            let plainEnd = bytes[start...].firstIndex { !isPlain($0) } ?? bytes.count
            output += bytes[start..<plainEnd]
            start = bytes[plainEnd...].firstIndex(where: isPlain) ?? bytes.count
            for scalar in String(decoding: bytes[plainEnd..<start], as: UTF8.self).unicodeScalars {
                switch kind(of: scalar) {
                case .control, .invisible:
                    for unit in String(scalar).utf16 {
                        let digits = String(unit, radix: 16)
                        output += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
                    }
                case .visible, .mark, .unknown: output += String(scalar).utf8
                }
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Printable ASCII, and the line ends and tabs between the parts of a document.
    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x20..<0x7F).contains(byte) || byte == 0x0A || byte == 0x09 || byte == 0x0D
    }

    private enum Kind {
        case visible(columns: Int)
        case mark
        case invisible
        case unknown
        case control
    }

    private static func kind(of scalar: Unicode.Scalar) -> Kind {
        if (0x20..<0x7F).contains(scalar.value) { return .visible(columns: 1) }
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: return .control
        // Direction controls, joiners, byte order marks, tags: all of category Cf (UAX #9 and #44).
        case .format: return .invisible
        case .nonspacingMark, .enclosingMark: return .mark
        case .surrogate, .privateUse, .unassigned: return .unknown
        default:
            // Letters that are drawn as nothing (U+3164 and its like) make names look alike or empty.
            if scalar.properties.isDefaultIgnorableCodePoint { return .invisible }
            return .visible(columns: isWide(scalar) ? 2 : 1)
        }
    }

    /// Where the CSI sequence that begins here ends (ECMA-48, 5.4: ESC [ or U+009B, parameters, intermediates, a final
    /// byte); `nil` when none begins here or it is not whole.
    private static func controlSequenceEnd(
        _ scalars: String.UnicodeScalarView,
        from start: String.Index
    ) -> String.Index? {
        var position = scalars.index(after: start)
        if scalars[start] == "\u{1B}" {
            guard position < scalars.endIndex, scalars[position] == "[" else { return nil }
            position = scalars.index(after: position)
        } else if scalars[start] != "\u{9B}" {
            return nil
        }
        // A sequence longer than 64 is none that a terminal would take, and the bound keeps the whole linear.
        for _ in 0..<64 {
            guard position < scalars.endIndex else { return nil }
            let value = scalars[position].value
            position = scalars.index(after: position)
            if (0x40...0x7E).contains(value) { return position }
            guard (0x20...0x3F).contains(value) else { return nil }
        }
        return nil
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
        switch scalar {
        case "\t": return [" "]
        case "\n", "\u{2028}", "\u{2029}": return ["\\", "n"]
        case "\r": return ["\\", "r"]
        default:
            let digits = String(scalar.value, radix: 16)
            return Array((digits.count == 1 ? "\\x0" : "\\x").unicodeScalars) + Array(digits.unicodeScalars)
        }
    }

    /// Characters of two columns: East Asian Wide and Fullwidth (UAX #11) in whole blocks, and pictographs.
    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6,
            0x16FE0...0x18D08, 0x1AFF0...0x1B2FF, 0x1F1E6...0x1F1FF, 0x1F200...0x1F265, 0x20000...0x3FFFD:
            true
        default: scalar.properties.isEmojiPresentation
        }
    }
}
