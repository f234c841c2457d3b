import Glibc
import LogModel

/// The machine's wall clock and time zone.
enum Clock {
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Seconds that local time is ahead of UTC at `time` (localtime_r(3), `tm_gmtoff`).
    @Sendable static func secondsEastOfUTC(at time: Timestamp) -> Int {
        var seconds = time_t(time.nanoseconds / 1_000_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return parts.tm_gmtoff
    }
}

/// Dates as people write and read them.
struct DateText: Sendable {
    var now: Timestamp
    /// Seconds that local time is ahead of UTC at a moment.
    var secondsEastOfUTC: @Sendable (Timestamp) -> Int

    static var current: DateText { DateText(now: Clock.now(), secondsEastOfUTC: Clock.secondsEastOfUTC) }

    private static let second: Int64 = 1_000_000_000
    private static let day: Int64 = 86_400 * second

    /// The start of a span of time: RFC 3339, where a missing zone means local time; `-30s`, `-30m`, `-1h`, `-2d`, `-1w`, with
    /// or without the minus; `now`, `today`, `yesterday`. `nil` for anything else.
    func since(_ text: String) -> Timestamp? {
        switch text.lowercased() {
        case "now": return now
        case "today": return localMidnight(dayOffset: 0)
        case "yesterday": return localMidnight(dayOffset: -1)
        default: break
        }
        if let span = Self.span(text) {
            let (nanoseconds, overflow) = now.nanoseconds.subtractingReportingOverflow(span)
            return overflow ? nil : Timestamp(nanoseconds: nanoseconds)
        }
        guard let date = Self.rfc3339(text) else { return nil }
        let afterDate = text.dropFirst(10)
        let hasZone = afterDate.contains { "Zz+-".contains($0) }
        return hasZone ? date : local(date)
    }

    /// `12:03:04` in local time.
    func time(_ timestamp: Timestamp) -> String {
        let local = timestamp.nanoseconds.addingReportingOverflow(Int64(secondsEastOfUTC(timestamp)) * Self.second)
        let text = Timestamp(nanoseconds: local.partialValue).rfc3339
        return String(text.dropFirst(11).prefix(8))
    }

    /// How long ago it was: `now`, `5s ago`, `3m ago`, `2h ago`, `4d ago`. A date ahead of the clock is `now` up to a minute,
    /// then says so: the clock of a Pi may be wrong.
    func age(_ timestamp: Timestamp) -> String {
        let (nanoseconds, overflow) = now.nanoseconds.subtractingReportingOverflow(timestamp.nanoseconds)
        guard !overflow else { return "?" }
        let seconds = nanoseconds / Self.second
        switch seconds {
        case ..<(-60): return "ahead"
        case ..<1: return "now"
        default: return Self.shortSpan(seconds: seconds) + " ago"
        }
    }

    /// `5s`, `3m`, `2h`, `4d`, rounded down.
    static func shortSpan(seconds: Int64) -> String {
        switch seconds {
        case ..<60: "\(seconds)s"
        case ..<3600: "\(seconds / 60)m"
        case ..<86_400: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }

    /// Reads RFC 3339 of a string.
    static func rfc3339(_ text: String) -> Timestamp? {
        var text = text
        return text.withUTF8 { Timestamp(rfc3339: $0) }
    }

    private static func span(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard let unit = digits.last.flatMap({ units[$0] }),
            digits.dropLast().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int64(digits.dropLast())
        else { return nil }
        let (seconds, overflow) = number.multipliedReportingOverflow(by: unit)
        // Longer than 200 years is a typing mistake, and would not fit into nanoseconds.
        guard !overflow, seconds <= 200 * 366 * 86_400 else { return nil }
        return seconds * second
    }

    /// A date that was read as UTC but meant in local time. The offset is looked up twice, since it may change between the
    /// two readings; in the hour that a clock change skips or repeats, one of the two possible answers.
    private func local(_ date: Timestamp) -> Timestamp {
        func shifted(by seconds: Int) -> Timestamp {
            Timestamp(
                nanoseconds: date.nanoseconds.subtractingReportingOverflow(Int64(seconds) * Self.second).partialValue
            )
        }
        let guess = shifted(by: secondsEastOfUTC(date))
        return shifted(by: secondsEastOfUTC(guess))
    }

    private func localMidnight(dayOffset: Int64) -> Timestamp {
        let local = now.nanoseconds + Int64(secondsEastOfUTC(now)) * Self.second
        var midnight = local - local % Self.day
        if local % Self.day < 0 { midnight -= Self.day }
        return self.local(Timestamp(nanoseconds: midnight + dayOffset * Self.day))
    }
}
