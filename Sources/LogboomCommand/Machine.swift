import Glibc

/// What the kernel and the file system tell of this machine, below `root`; tests give a folder of their own.
struct Machine: Sendable {
    /// `/`, or another folder without a slash at its end.
    var root = ""

    /// Files of /proc and /sys are a page or a few; a table of sockets with thousands of rows stays below this.
    static let textByteCountMax = 4 << 20

    /// A whole small file; `nil` when it is not there or not for this user.
    func text(_ path: String) -> String? {
        let descriptor = open(root + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < Self.textByteCountMax {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func exists(_ path: String) -> Bool {
        access(root + path, F_OK) == 0
    }

    /// Names in a folder; none when it cannot be read.
    func names(in path: String) -> [String] {
        guard let handle = opendir(root + path) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            )
        }
        return names
    }

    func link(_ path: String) -> String? {
        var target = [UInt8](repeating: 0, count: 256)
        let count = target.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(root + path, $0, text.count) } ?? -1
            }
        }
        return count > 0 ? String(decoding: target[..<count], as: UTF8.self) : nil
    }

    /// Permission bits; `nil` when the file cannot be looked at.
    func mode(_ path: String) -> UInt32? {
        var status = stat()
        return stat(root + path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    /// The kind of file system that a path is on, as `ext4`: that of the longest mount point above it (proc(5)).
    func fileSystem(of path: String) -> String? {
        var best: (length: Int, kind: String)?
        for line in (text("/proc/self/mounts") ?? "").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = fields[1] == "/" ? "" : String(fields[1])
            guard path == point || path.hasPrefix(point + "/") else { continue }
            // The last mount of a point is the one that shows.
            if point.utf8.count >= best?.length ?? -1 { best = (point.utf8.count, String(fields[2])) }
        }
        return best?.kind
    }

    // MARK: Processes and sockets

    /// The oldest process of this name that this user sees; `nil` when there is none.
    func process(named name: String) -> Int? {
        names(in: "/proc").compactMap { Int($0) }.sorted().first { number in
            text("/proc/\(number)/comm").map { String($0.prefix { $0 != "\n" }) } == name
        }
    }

    /// A field of `/proc/PID/status`, without its name.
    func status(of process: Int, _ field: String) -> String? {
        text("/proc/\(process)/status")?.split(separator: "\n").first { $0.hasPrefix("\(field):") }
            .map { line in String(line.dropFirst(field.utf8.count + 1).drop { $0 == "\t" || $0 == " " }) }
    }

    /// The control group of a process in the unified hierarchy, as `/system.slice/logboomd.service`; `nil` where there is none.
    func controlGroup(of process: Int) -> String? {
        text("/proc/\(process)/cgroup")?.split(separator: "\n").first { $0.hasPrefix("0::") }.map {
            String($0.dropFirst(3))
        }
    }

    /// The number of a group (group(5)); `nil` when it is not there.
    func groupNumber(_ name: String) -> Int? {
        text("/etc/group")?.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            .flatMap { Int($0.split(separator: ":", omittingEmptySubsequences: false)[safely: 2] ?? "") }
    }

    /// Who listens on a TCP port of this machine: the inode of the socket, from proc(5), `/proc/net/tcp`.
    func listeningSocket(port: Int) -> String? {
        let wanted = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: max(0, 4 - wanted.utf8.count)) + wanted
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in (text(table) ?? "").split(separator: "\n") {
                let fields = line.split(separator: " ")
                // 0A is TCP_LISTEN.
                guard fields.count > 9, fields[3] == "0A", fields[1].hasSuffix(suffix) else { continue }
                return String(fields[9])
            }
        }
        return nil
    }

    /// The process that holds a socket, with its name; `nil` when this user may not see it. Looks at every descriptor there is.
    func holder(ofSocket inode: String) -> (number: Int, name: String)? {
        for number in names(in: "/proc").compactMap({ Int($0) }).sorted().reversed() {
            for descriptor in names(in: "/proc/\(number)/fd")
            where link("/proc/\(number)/fd/\(descriptor)") == "socket:[\(inode)]" {
                let name = text("/proc/\(number)/comm").map { String($0.prefix { $0 != "\n" }) } ?? "?"
                return (number, name)
            }
        }
        return nil
    }
}

extension Array {
    fileprivate subscript(safely index: Int) -> Element? {
        indices.contains(index) ? self[index] : nil
    }
}
