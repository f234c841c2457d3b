/// Where things are: URLs, e-mail addresses, paths and topics.
extension MessageReader {
    /// `scheme://…` up to a blank, a quote or a bracket, without the punctuation of the sentence around it (RFC 3986).
    func urlEnd(at start: Int) -> Int {
        let schemeEnd = endOfRun(of: [.letter, .digit, .plus, .joiner], from: start)
        guard schemeEnd - start <= 24, byte(schemeEnd) == UInt8(ascii: ":"), byte(schemeEnd + 1) == UInt8(ascii: "/"),
            byte(schemeEnd + 2) == UInt8(ascii: "/")
        else { return 0 }
        let bodyStart = schemeEnd + 3
        var next = bodyStart
        if byte(next) == UInt8(ascii: "[") {
            // An IPv6 host is written in brackets.
            let close = endOfRun(of: [.hexDigit, .colon, .joiner], from: next + 1)
            if byte(close) == UInt8(ascii: "]") { next = close + 1 }
        }
        while next < end, isURLByte(bytes[next]) { next += 1 }
        while next > bodyStart, isClosingPunctuation(bytes[next - 1]) { next -= 1 }
        return next > bodyStart ? next : 0
    }

    private func isURLByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x20, 0x7F, UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"), UInt8(ascii: "<"),
            UInt8(ascii: ">"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "|"), UInt8(ascii: "\\"), UInt8(ascii: "^"):
            false
        default: true
        }
    }

    private func isClosingPunctuation(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: ":"), UInt8(ascii: "!"),
            UInt8(ascii: "?"):
            true
        default: false
        }
    }

    /// `name@example.org`. The domain needs a dot and a last label of letters; a systemd unit (`getty@tty1.service`)
    /// and `user@host` are none.
    func emailEnd(at start: Int) -> Int {
        let at = endOfRun(of: [.word, .joiner, .plus], from: start)
        guard at > start, at - start <= 64, byte(at) == UInt8(ascii: "@") else { return 0 }
        var labelStart = at + 1
        var labels = 0
        var found = 0
        while isWord(labelStart), labelStart - at <= 253 {
            var labelEnd = labelStart
            var isLetters = true
            while isWord(labelEnd) || (byte(labelEnd) == UInt8(ascii: "-") && isWord(labelEnd + 1)) {
                isLetters = isLetters && isLetter(labelEnd)
                labelEnd += 1
            }
            labels += 1
            if labels >= 2, isLetters, labelEnd - labelStart >= 2 {
                if kinds(from: labelStart, to: labelEnd).contains(.unitType) { return 0 }
                found = labelEnd
            }
            guard byte(labelEnd) == UInt8(ascii: ".") else { break }
            labelStart = labelEnd + 1
        }
        return found
    }

    /// Whether a path may begin at `start`: where a word could, so that the slash of `and/or`, `10 MB/s` or `</b>` starts
    /// none.
    func isPathStart(_ start: Int) -> Bool {
        guard start > 0 else { return true }
        let previous = bytes[start - 1]
        return classes[Int(previous)].touches([.blank, .delimiter, .opener, .colon]) && previous != UInt8(ascii: "<")
    }

    /// `./build.sh`, `../lib/x.so`.
    func dottedPathEnd(at start: Int) -> Int {
        if start > 0, classes[Int(bytes[start - 1])].touches([.word, .joiner, .slash]) { return 0 }
        var next = start + 1
        if byte(next) == UInt8(ascii: ".") { next += 1 }
        guard byte(next) == UInt8(ascii: "/"), isWord(next + 1) || byte(next + 1) == UInt8(ascii: ".") else { return 0 }
        return pathEnd(from: next)
    }

    /// The end of a path whose first slash is at `slash` (`/var/log/syslog`, `/dev/ttyUSB0`, `/api/items?id=5`,
    /// `/src/main.c:12:30`); 0 when what follows names nothing.
    func pathEnd(from slash: Int) -> Int {
        var next = slash
        var slashes = 0
        var hasLetter = false
        var hasWord = false
        var isQuery = false
        body: while next < end {
            let kind = classes[Int(bytes[next])]
            if kind.touches([.word, .highByte]) {
                hasWord = true
                hasLetter = hasLetter || !kind.touches(.digit)
            } else if kind.touches([.joiner, .plus, .slash, .mark]) {
                if bytes[next] == UInt8(ascii: "\\") { break }
                slashes += kind == .slash ? 1 : 0
            } else {
                switch bytes[next] {
                case UInt8(ascii: ":"):
                    // A line number or a bus address goes on; `…/file: No such file` does not.
                    guard isDigit(next + 1), bytes[next - 1] != UInt8(ascii: "/") else { break body }
                case UInt8(ascii: "%"), UInt8(ascii: "*"): break
                case UInt8(ascii: "?"):
                    guard isWord(next + 1) else { break body }
                    isQuery = true
                case UInt8(ascii: "="), UInt8(ascii: "&"), UInt8(ascii: ","), UInt8(ascii: ";"):
                    guard isQuery, isWord(next + 1) || byte(next + 1) == UInt8(ascii: "%") else { break body }
                default: break body
                }
            }
            next += 1
        }
        while next > slash, bytes[next - 1] == UInt8(ascii: ".") { next -= 1 }
        // `/1234` may be a rate or a part of a date; with a second slash it is a place.
        return hasWord && (hasLetter || slashes > 1) ? next : 0
    }

    /// `C:\Users\x`, with one blank inside a name (`C:\Program Files\x`) where a backslash shows that it goes on.
    func drivePathEnd(at start: Int) -> Int {
        guard isLetter(start), byte(start + 1) == UInt8(ascii: ":"),
            byte(start + 2) == UInt8(ascii: "\\")
                || (byte(start + 2) == UInt8(ascii: "/") && byte(start + 3) != UInt8(ascii: "/")),
            start == 0 || !classes[Int(bytes[start - 1])].touches([.word, .joiner])
        else { return 0 }
        return backslashedEnd(from: start + 3)
    }

    /// `\\server\share\file`.
    func sharePathEnd(at start: Int) -> Int {
        guard byte(start + 1) == UInt8(ascii: "\\"), isWord(start + 2) else { return 0 }
        let end = backslashedEnd(from: start + 2)
        let server = endOfRun(of: [.word, .joiner], from: start + 2)
        return server < end ? end : 0
    }

    private func backslashedEnd(from start: Int) -> Int {
        let inside: ByteClass = [.word, .joiner, .plus, .highByte, .mark, .slash]
        var next = endOfRun(of: inside, from: start)
        // `C:\logs\*.txt`: a pattern of names is a path too.
        while byte(next) == UInt8(ascii: "*"), next > start { next = endOfRun(of: inside, from: next + 1) }
        while byte(next) == UInt8(ascii: " "), isWord(next + 1) {
            let wordEnd = endOfRun(of: [.word, .joiner], from: next + 1)
            guard byte(wordEnd) == UInt8(ascii: "\\"), isWord(wordEnd + 1) else { break }
            next = endOfRun(of: inside, from: wordEnd)
        }
        while next > start, bytes[next - 1] == UInt8(ascii: ".") { next -= 1 }
        return next
    }

    /// An MQTT topic or a relative path: words between slashes. Ends at `start` when it is neither.
    ///
    /// Three levels make a topic (`zigbee2mqtt/kitchen/lamp`); two do only where the text says "topic", because
    /// `and/or`, `TCP/IP` and `text/html` look the same. A known file extension at the end makes it a path.
    func topicOrRelativePath(at start: Int) -> MessagePart {
        let slash = endOfRun(of: [.word, .joiner, .plus, .highByte], from: start)
        guard byte(slash) == UInt8(ascii: "/") else { return .literal(to: start) }
        if let path = fileEnd(from: start, to: endOfRun(of: [.word, .joiner, .plus, .highByte, .slash], from: start)) {
            return .value(.path, to: path)
        }
        let end = topicEnd(at: start)
        return end > 0 ? .value(.topic, to: end) : .literal(to: start)
    }

    func topicEnd(at start: Int) -> Int {
        var next = start
        var slashes = 0
        var hasLetter = false
        while next < end {
            let kind = classes[Int(bytes[next])]
            if kind == .slash {
                // An empty level is legal in MQTT, but a double slash is a sign of something else: the topic ends.
                if byte(next + 1) == UInt8(ascii: "/") { break }
                slashes += 1
            } else if kind.touches([.word, .joiner, .plus, .highByte]) {
                hasLetter = hasLetter || kind.touches([.letter, .highByte])
            } else {
                // The wildcard `#` and system levels such as `$state` follow a slash.
                let mark = bytes[next]
                guard mark == UInt8(ascii: "#") || mark == UInt8(ascii: "$"), next > start,
                    bytes[next - 1] == UInt8(ascii: "/")
                else { break }
            }
            next += 1
        }
        while next > start, bytes[next - 1] == UInt8(ascii: ".") { next -= 1 }
        guard hasLetter, slashes > 0 else { return 0 }
        if slashes >= 2 { return next }
        guard next > start, bytes[next - 1] != UInt8(ascii: "/"), let word = wordBefore(start) else { return 0 }
        let count = word.upperBound - word.lowerBound
        return count >= 5 && (has("topic", at: word.upperBound - 5) || has("Topic", at: word.upperBound - 5)) ? next : 0
    }

    /// The end of the file name `start..<nameEnd`, with `:line` or `:line:column` behind it; `nil` when the name does
    /// not end in a known extension.
    func fileEnd(from start: Int, to nameEnd: Int) -> Int? {
        var dot = nameEnd - 1
        while dot > start, nameEnd - dot <= 8, bytes[dot] != UInt8(ascii: ".") { dot -= 1 }
        guard dot > start, bytes[dot] == UInt8(ascii: "."), isWord(dot - 1),
            kindsOfName(from: dot + 1, to: nameEnd).contains(.fileExtension)
        else { return nil }
        return positionEnd(after: nameEnd)
    }

    /// `:12` or `:12:30`, or nothing.
    func positionEnd(after index: Int) -> Int {
        var end = index
        for _ in 0..<2 {
            guard byte(end) == UInt8(ascii: ":") else { break }
            let count = digitCount(at: end + 1, max: 8)
            guard count > 0, !isWord(end + 1 + count) else { break }
            end += 1 + count
        }
        return end
    }
}
