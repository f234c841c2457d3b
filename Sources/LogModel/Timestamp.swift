/// A date on the wall clock: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time). For stamping
/// records and windows only; nothing is ever scheduled by it, because the clock of a Pi may be wrong at boot.
public struct Timestamp: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The date `step` later; stays within what 64 bits hold.
    public func advanced(by step: Duration) -> Timestamp {
        let sum = nanoseconds.addingReportingOverflow(step.nanoseconds)
        return sum.overflow ? self : Timestamp(nanoseconds: sum.partialValue)
    }

    /// Microseconds since the epoch, rounded down: what PostgreSQL's `timestamptz` holds.
    public var microseconds: Int64 {
        var quotient = nanoseconds / 1000
        if nanoseconds % 1000 < 0 { quotient -= 1 }
        return quotient
    }

    /// 2026-01-01T00:00:00Z: a clock before this date was never set, for this program is younger than that.
    public static let earliestPlausible = Timestamp(nanoseconds: 1_767_225_600 * 1_000_000_000)

    /// A number as a date, its unit guessed by its size the way VictoriaLogs does: seconds below 2^32, then milliseconds,
    /// microseconds, nanoseconds, each a factor of 1000 further. `nil` for zero, negatives and numbers out of range.
    public init?(epoch number: Double) {
        guard number > 0, number < 9.2e18 else { return nil }
        let limit = 4_294_967_296.0
        let scale: Double
        switch number {
        case ..<limit: scale = 1e9
        case ..<(limit * 1e3): scale = 1e6
        case ..<(limit * 1e6): scale = 1e3
        default: scale = 1
        }
        guard number * scale < 9.2e18 else { return nil }
        self.init(nanoseconds: Int64(number * scale))
    }

    /// Reads RFC 3339 (`2025-01-15T10:30:45.123Z`, `+01:00`, a blank or lower-case `t` between date and time, comma or point
    /// before the fraction) and the same without a zone, which is taken as UTC. `nil` for anything else, for dates
    /// that do not exist, and for years outside 1678 to 2261. Second 60 is accepted and counts as 59, as POSIX time has no leap seconds.
    public init?(rfc3339 text: UnsafeBufferPointer<UInt8>) {
        if let common = Self.common(text) {
            self = common
            return
        }
        var position = 0

        func digits(_ count: Int) -> Int? {
            guard position + count <= text.count else { return nil }
            var value = 0
            for _ in 0..<count {
                let digit = Int(text[position]) - 0x30
                guard (0...9).contains(digit) else { return nil }
                value = value * 10 + digit
                position += 1
            }
            return value
        }
        func take(_ accepted: UInt8...) -> Bool {
            guard position < text.count, accepted.contains(text[position]) else { return false }
            position += 1
            return true
        }

        guard let year = digits(4), take(0x2D), let month = digits(2), take(0x2D), let day = digits(2) else {
            return nil
        }
        // The years that nanoseconds in 64 bits can name, with room for fraction and zone.
        guard (1678...2261).contains(year), (1...12).contains(month), day >= 1,
            day <= Self.dayCount(year: year, month: month)
        else { return nil }
        var nanoseconds = Self.daysSinceEpoch(year: year, month: month, day: day) * 86_400
        if position < text.count {
            guard take(0x54, 0x74, 0x20), let hour = digits(2), take(0x3A), let minute = digits(2) else { return nil }
            var second = 0
            if take(0x3A) {
                guard let value = digits(2) else { return nil }
                second = min(value, 59)
                guard value <= 60 else { return nil }
            }
            guard hour < 24, minute < 60 else { return nil }
            nanoseconds += Int64(hour * 3600 + minute * 60 + second)
        }
        nanoseconds *= 1_000_000_000
        if take(0x2E, 0x2C) {
            var unit: Int64 = 100_000_000
            let start = position
            while position < text.count, let digit = digits(1) {
                nanoseconds += Int64(digit) * unit
                unit /= 10
            }
            guard position > start else { return nil }
        }
        if position < text.count, !take(0x5A, 0x7A) {
            let negative = text[position] == 0x2D
            guard take(0x2B, 0x2D), let hour = digits(2) else { return nil }
            _ = take(0x3A)
            let minute = position < text.count ? digits(2) : 0
            guard let minute, hour < 24, minute < 60 else { return nil }
            let offset = Int64(hour * 3600 + minute * 60) * 1_000_000_000
            nanoseconds += negative ? offset : -offset
        }
        guard position == text.count else { return nil }
        self.init(nanoseconds: nanoseconds)
    }

    /// `2025-01-15T10:30:45.123Z`, the form that most senders write (ECMAScript's `toISOString`), as three words of eight
    /// bytes each; `nil` for any other form, and for a date that does not exist.
    private static func common(_ text: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        guard text.count == 24, let base = text.baseAddress else { return nil }
        let raw = UnsafeRawPointer(base)
        guard let date = DigitWord(raw, like: "0000-00-"), let time = DigitWord(raw + 8, like: "00T00:00"),
            let end = DigitWord(raw + 16, like: ":00.000Z")
        else { return nil }
        let year = date.pair(at: 0) * 100 + date.pair(at: 2)
        let month = date.pair(at: 5)
        let day = time.pair(at: 0)
        let hour = time.pair(at: 3)
        let minute = time.pair(at: 6)
        let second = end.pair(at: 1)
        guard 1678...2261 ~= year, 1...12 ~= month, day >= 1, day <= dayCount(year: year, month: month),
            hour < 24, minute < 60, second < 60
        else { return nil }
        let seconds =
            daysSinceEpoch(year: year, month: month, day: day) * 86_400
            + Int64(hour * 3600 + minute * 60 + second)
        let milliseconds = end.pair(at: 4) * 10 + end.digit(at: 6)
        return Timestamp(nanoseconds: seconds * 1_000_000_000 + Int64(milliseconds) * 1_000_000)
    }

    /// RFC 3339 in UTC with microseconds and `Z`, always 27 bytes for years 0 to 9999.
    public var rfc3339: String {
        let micros = microseconds
        var seconds = micros / 1_000_000
        var fraction = micros % 1_000_000
        if fraction < 0 {
            fraction += 1_000_000
            seconds -= 1
        }
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        let date = Self.civil(daysSinceEpoch: days)
        var text = ""
        text.reserveCapacity(27)
        func append(_ value: Int64, width: Int) {
            let digits = String(value)
            text += String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        append(date.year, width: 4)
        text += "-"
        append(date.month, width: 2)
        text += "-"
        append(date.day, width: 2)
        text += "T"
        append(rest / 3600, width: 2)
        text += ":"
        append(rest / 60 % 60, width: 2)
        text += ":"
        append(rest % 60, width: 2)
        text += "."
        append(fraction, width: 6)
        return text + "Z"
    }

    private static func dayCount(year: Int, month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // The two calendar conversions count in eras of 400 years from 1 March, as H. Hinnant's "chrono-Compatible Low-Level
    // Date Algorithms" derives them: no table, no loop, right for every proleptic Gregorian date.
    private static func daysSinceEpoch(year: Int, month: Int, day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    private static func civil(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

/// Eight characters, digits where a form has `0` and what the form has elsewhere, read as numbers of two digits.
private struct DigitWord {
    /// A digit's value in its byte, 0 for all others.
    private let values: UInt64
    /// In the byte of a digit the number of two digits that begins there.
    private let pairs: UInt64

    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// `nil` when the characters are not of this form, whose length is eight.
    @inline(__always)
    init?(_ source: UnsafeRawPointer, like form: StaticString) {
        let pattern = UnsafeRawPointer(form.utf8Start).loadUnaligned(as: UInt64.self).littleEndian
        values = source.loadUnaligned(as: UInt64.self).littleEndian ^ pattern
        // Each byte's room up to 0x80: ten values for a digit, none for anything else. '0' has bit 4, and of the others only
        // 'T' and 'Z', which have bit 6.
        let isDigit = pattern >> 4 & ~(pattern >> 6) & ~(pattern >> 3) & 0x0101_0101_0101_0101
        let room = 0x7F7F_7F7F_7F7F_7F7F &- isDigit &* 9
        guard (values &+ room | values) & Self.highs == 0 else { return nil }
        pairs = values &* 10 &+ values >> 8  // below 100 in each byte
    }

    @inline(__always)
    func pair(at index: Int) -> Int { Int(pairs >> UInt64(index * 8) & 0xFF) }

    @inline(__always)
    func digit(at index: Int) -> Int { Int(values >> UInt64(index * 8) & 0xFF) }
}
