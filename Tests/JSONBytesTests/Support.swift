import Foundation
import JSONBytes
import PipelineTesting

/// Why `bytes` is no JSON, or `nil`. The bytes lie in a block of exactly their size, so that a read beyond them is seen by
/// the address sanitizer.
func validationError(_ bytes: [UInt8]) -> JSONSyntaxError? {
    withExactCopy(bytes) { view in
        do throws(JSONSyntaxError) {
            try JSONValidator.validate(view)
            return nil
        } catch {
            return error
        }
    }
}

func validationError(_ text: String) -> JSONSyntaxError? {
    validationError(Array(text.utf8))
}

func withExactCopy<Result>(_ bytes: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: bytes)
    return body(UnsafeBufferPointer(copy))
}

/// Reads everything through the pull interface, unescaping every string; the count of values, or the error.
func walk(_ bytes: [UInt8]) -> Result<Int, JSONSyntaxError> {
    withExactCopy(bytes) { view in
        var cursor = JSONCursor(view)
        var count = 0
        do throws(JSONSyntaxError) {
            try walkValue(&cursor, &count)
            try cursor.finish()
            return .success(count)
        } catch {
            return .failure(error)
        }
    }
}

private func walkValue(_ cursor: inout JSONCursor, _ count: inout Int) throws(JSONSyntaxError) {
    count += 1
    switch cursor.peek() {
    case .object:
        try cursor.enterObject()
        while let key = try cursor.nextKey() {
            _ = JSONText.string(key)
            try walkValue(&cursor, &count)
        }
    case .array:
        try cursor.enterArray()
        while try cursor.nextElement() { try walkValue(&cursor, &count) }
    case .string, .number, .bool, .null, nil:
        let item = try cursor.value()
        _ = JSONText.string(item)
        _ = JSONText.double(item.bytes)
    }
}

/// Random JSON texts, odd on purpose: blanks everywhere, escapes, surrogates, long numbers, repeated keys.
struct DocumentGenerator {
    var random: SeededGenerator

    mutating func document() -> [UInt8] {
        var text: [UInt8] = []
        value(&text, depth: 0)
        return text
    }

    private mutating func below(_ bound: Int) -> Int {
        Int.random(in: 0..<bound, using: &random)
    }

    private mutating func blanks(_ text: inout [UInt8]) {
        guard below(4) == 0 else { return }
        for _ in 0...below(3) { text.append([0x20, 0x09, 0x0A, 0x0D][below(4)]) }
    }

    private mutating func value(_ text: inout [UInt8], depth: Int) {
        blanks(&text)
        switch below(depth > 5 ? 5 : 9) {
        case 0: text += Array(["true", "false", "null"][below(3)].utf8)
        case 1, 2: number(&text)
        case 3, 4: string(&text)
        case 5, 6:
            text.append(0x5B)
            for index in 0..<below(5) {
                if index > 0 { text.append(0x2C) }
                value(&text, depth: depth + 1)
            }
            blanks(&text)
            text.append(0x5D)
        default:
            text.append(0x7B)
            for index in 0..<below(5) {
                if index > 0 { text.append(0x2C) }
                blanks(&text)
                string(&text)
                blanks(&text)
                text.append(0x3A)
                value(&text, depth: depth + 1)
            }
            blanks(&text)
            text.append(0x7D)
        }
        blanks(&text)
    }

    private mutating func number(_ text: inout [UInt8]) {
        if below(3) == 0 { text.append(0x2D) }
        text += Array(String(below(2) == 0 ? below(10) : below(1_000_000_000)).utf8)
        if below(3) == 0 {
            text.append(0x2E)
            for _ in 0...below(8) { text.append(UInt8(0x30 + below(10))) }
        }
        if below(4) == 0 {
            text += Array(["e", "E", "e+", "E-"][below(4)].utf8)
            text += Array(String(below(40)).utf8)
        }
    }

    private mutating func string(_ text: inout [UInt8]) {
        text.append(0x22)
        for _ in 0..<below(20) {
            switch below(12) {
            case 0: text += Array(["\\n", "\\t", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r"][below(8)].utf8)
            case 1: text += Array(["\\u0041", "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\uFFFF"][below(5)].utf8)
            case 2: text += Array(["é", "€", "😀", "日本"][below(4)].utf8)
            default: text.append(UInt8([0x20, 0x21, 0x23].randomElement(using: &random) ?? 0x20) + UInt8(below(0x38)))
            }
        }
        text.append(0x22)
        // The range above may have hit the one letter that must not stand alone.
        if let backslash = text.lastIndex(of: 0x5C), !text.indices.contains(backslash + 1) { text[backslash] = 0x20 }
    }
}
