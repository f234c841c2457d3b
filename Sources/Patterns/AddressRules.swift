/// Addresses of machines, interfaces and buses.
extension MessageReader {
    /// `10.0.0.1`, with a port (`10.0.0.1:8080`) or a prefix length (`10.0.0.0/8`) where there is one.
    ///
    /// The port belongs to the address: many programs print it only sometimes, and one message must not become two
    /// patterns for that; a peer's port means nothing by itself.
    func ipv4End(at start: Int) -> Int {
        var next = start
        for octet in 0..<4 {
            let count = digitCount(at: next, max: 4)
            guard count > 0, count <= 3 else { return 0 }
            // Two digits are below 256 anyway.
            if count == 3, !isNumber(at: next, count: 3, in: 0...255) { return 0 }
            next += count
            if octet < 3 {
                guard byte(next) == UInt8(ascii: ".") else { return 0 }
                next += 1
            }
        }
        // `1.2.3.4.5` is a version, `1.2.3.4.example.org` a name.
        if isWord(next) || (byte(next) == UInt8(ascii: ".") && isWord(next + 1)) { return 0 }
        return endOfPortOrPrefix(at: next)
    }

    private func endOfPortOrPrefix(at index: Int) -> Int {
        let mark = byte(index)
        guard mark == UInt8(ascii: ":") || mark == UInt8(ascii: "/") else { return index }
        let count = digitCount(at: index + 1, max: 6)
        guard count > 0, count <= (mark == UInt8(ascii: ":") ? 5 : 3) else { return index }
        let end = index + 1 + count
        if isWord(end) || (byte(end) == UInt8(ascii: ".") && isWord(end + 1)) { return index }
        return end
    }

    /// IPv6 in every form of RFC 4291 section 2.2, with a zone (`%eth0`) and a prefix length. At least one digit is
    /// asked for, so that `std::add` stays a name.
    func ipv6End(at start: Int) -> Int {
        var next = start
        var colons = 0
        var hasGap = false
        var hasDigit = false
        if byte(next) == UInt8(ascii: ":") {
            guard byte(next + 1) == UInt8(ascii: ":") else { return 0 }
        }
        var groupStart = next
        while next < end, next - start <= 45 {
            let kind = byteClass(next)
            if kind == .colon {
                guard next - groupStart <= 4 else { return 0 }
                colons += 1
                if byte(next + 1) == UInt8(ascii: ":") {
                    guard !hasGap else { return 0 }
                    hasGap = true
                    colons += 1
                    next += 1
                } else if !byteClass(next + 1).touches(.hexDigit) {
                    if isPlaceholder(at: next + 1) { return 0 }
                    // A colon after the address, as in `from fe80::1: refused`.
                    colons -= 1
                    break
                }
                groupStart = next + 1
            } else if kind.touches(.hexDigit) {
                hasDigit = hasDigit || kind == .digit
            } else {
                break
            }
            next += 1
        }
        guard hasDigit, colons >= 2,
            hasGap ? colons <= 8 : colons == 7 || (colons == 6 && byte(next) == UInt8(ascii: "."))
        else { return 0 }
        if byte(next) == UInt8(ascii: "."), isDigit(next + 1) {
            let tail = ipv4End(at: groupStart)
            guard tail > 0 else { return 0 }
            return tail
        }
        guard next - groupStart <= 4, !isWord(next) else { return 0 }
        if groupStart == next, isPlaceholder(at: next) { return 0 }
        if byte(next) == UInt8(ascii: "%"), isWord(next + 1) {
            next = endOfRun(of: .word, from: next + 1)
        }
        return byte(next) == UInt8(ascii: "/") ? endOfPortOrPrefix(at: next) : next
    }

    /// Pairs of hexadecimal digits between colons or dashes: six or eight are a MAC (EUI-48, EUI-64), more a
    /// fingerprint. Ends at `start` when there is none.
    func hardwareAddress(at start: Int) -> MessagePart {
        let separator = byte(start + 2)
        guard separator == UInt8(ascii: ":") || separator == UInt8(ascii: "-") else { return .literal(to: start) }
        var next = start
        var pairs = 0
        while byteClass(next).touches(.hexDigit), byteClass(next + 1).touches(.hexDigit), pairs < 64 {
            pairs += 1
            next += 2
            guard byte(next) == separator else { break }
            guard byteClass(next + 1).touches(.hexDigit) else {
                if isPlaceholder(at: next + 1) { return .literal(to: start) }
                break
            }
            next += 1
        }
        guard pairs >= 6, !isWord(next), byteClass(next - 1).touches(.hexDigit) else { return .literal(to: start) }
        return .value(pairs == 6 || pairs == 8 ? .mac : .hex, to: next)
    }

    /// Whether a placeholder of either style may begin at `index`, so that the groups before it were perhaps no address:
    /// `8abc::<NUM>` was `8abc::100100758`, `aa:bb:cc:dd:ee:ff:<UUID>` went on in hexadecimal. What was none then is none
    /// when the template comes back.
    private func isPlaceholder(at index: Int) -> Bool {
        guard byte(index) == UInt8(ascii: "<") || byte(index) == UInt8(ascii: "{") else { return false }
        return byte(index + 1) == UInt8(ascii: "*") || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte(index + 1))
    }

    /// `8-4-4-4-12` hexadecimal digits (RFC 9562).
    func uuidEnd(at start: Int) -> Int {
        guard byte(start + 8) == UInt8(ascii: "-"), start + 36 <= end else { return 0 }
        for offset in 0..<36 {
            switch offset {
            case 8, 13, 18, 23: guard byte(start + offset) == UInt8(ascii: "-") else { return 0 }
            default: guard byteClass(start + offset).touches(.hexDigit) else { return 0 }
            }
        }
        return isWord(start + 36) ? 0 : start + 36
    }

    /// A PCI address, `0000:01:00.0`: without a rule its groups would look like times and numbers by turns.
    func busAddressEnd(at start: Int) -> Int {
        func isHex(_ index: Int, _ count: Int) -> Bool {
            for offset in 0..<count where !byteClass(index + offset).touches(.hexDigit) { return false }
            return true
        }
        guard byte(start + 4) == UInt8(ascii: ":"), isHex(start, 4), isHex(start + 5, 2),
            byte(start + 7) == UInt8(ascii: ":"), isHex(start + 8, 2), byte(start + 10) == UInt8(ascii: "."),
            isDigit(start + 11), !isWord(start + 12)
        else { return 0 }
        return start + 12
    }
}
