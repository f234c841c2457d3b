internal import CSystemd
internal import Glibc

/// Tells systemd how the service is: sd_notify(3). Every function does nothing when the process was not started by systemd
/// (no `NOTIFY_SOCKET`). Blocks for one datagram on a local socket; may be called from any thread.
package enum SystemdNotify {
    /// The longest status text sent, in bytes; the rest is cut at a scalar's edge. systemd shows one line.
    package static let statusByteCountMax = 512

    /// Whether somebody listens: `NOTIFY_SOCKET` is set.
    package static var isSupervised: Bool {
        getenv("NOTIFY_SOCKET") != nil
    }

    /// Start-up is finished; with `status` shown by `systemctl status`.
    @discardableResult
    package static func ready(status: String? = nil) -> Bool {
        send("READY=1" + line(status))
    }

    /// The configuration is being read again; ``ready(status:)`` ends it. Carries the monotonic time, which
    /// `Type=notify-reload` (systemd 253 and later) needs and earlier ones ignore.
    @discardableResult
    package static func reloading() -> Bool {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000
        return send("RELOADING=1\nMONOTONIC_USEC=\(microseconds)")
    }

    /// Shutting down; with `status` shown by `systemctl status`.
    @discardableResult
    package static func stopping(status: String? = nil) -> Bool {
        send("STOPPING=1" + line(status))
    }

    /// One line for `systemctl status`. Line ends become blanks; more than ``statusByteCountMax`` bytes are cut.
    @discardableResult
    package static func status(_ text: String) -> Bool {
        send(String(line(text).dropFirst()))
    }

    /// Still alive: starts systemd's timer anew.
    @discardableResult
    package static func watchdog() -> Bool {
        send("WATCHDOG=1")
    }

    /// Asks for `duration` more before systemd takes a start or stop for hung (`EXTEND_TIMEOUT_USEC`).
    @discardableResult
    package static func extendTimeout(by duration: Duration) -> Bool {
        send("EXTEND_TIMEOUT_USEC=\(microseconds(duration))")
    }

    /// How long systemd waits between two calls of ``watchdog()`` before it ends the service; `nil` when it does not
    /// (sd_watchdog_enabled(3): not asked for, or asked of another process). Call at half of it.
    package static var watchdogInterval: Duration? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }

    /// Sockets that systemd opened for this process (`logboomd.socket`), with the names from `FileDescriptorName=`; empty
    /// when there are none. The descriptors belong to the caller from then on. A second call returns them again.
    package static func listenDescriptors() -> [(name: String, descriptor: CInt)] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(0, &names)
        defer {
            if let names {
                for index in 0..<Int(max(0, count)) { free(names[index]) }
                free(names)
            }
        }
        guard count > 0 else { return [] }
        return (0..<count).map { index in
            let name = names?[Int(index)].map { String(cString: $0) } ?? "unknown"
            return (name: name, descriptor: firstDescriptor + index)
        }
    }

    /// SD_LISTEN_FDS_START of sd_listen_fds(3).
    private static let firstDescriptor: CInt = 3

    private static func line(_ status: String?) -> String {
        guard let status else { return "" }
        var text = "\nSTATUS="
        var byteCount = 0
        for scalar in status.unicodeScalars {
            let shown = scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
            byteCount += UTF8.width(shown)
            if byteCount > statusByteCountMax { break }
            text.unicodeScalars.append(shown)
        }
        return text
    }

    private static func microseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
    }

    /// Returns whether systemd was told. A failure is not an error of ours: the service goes on, and systemd, which hears
    /// nothing, acts by its own timers.
    private static func send(_ state: String) -> Bool {
        sd_notify(0, state) > 0
    }
}
