internal import Glibc

/// What the kernel says of this process (proc(5)). Reading costs three small files: per scrape, not per record.
package struct ProcessFigures: Sendable {
    package var residentByteCount = 0
    /// Anonymous memory: what the process itself allocated, without the pages of its binary.
    package var anonymousByteCount = 0
    package var cpuSeconds = 0.0
    package var openFileCount = 0
    package var threadCount = 0
    /// Bytes this process caused to be sent to the block layer (`write_bytes`); nil where the kernel keeps no such account.
    package var writtenByteCount: Int?

    package init() {}

    package static func current() -> ProcessFigures {
        var figures = ProcessFigures()
        for line in lines(of: "/proc/self/status") {
            if let value = kibibytes(line, "VmRSS:") { figures.residentByteCount = value }
            if let value = kibibytes(line, "RssAnon:") { figures.anonymousByteCount = value }
            if line.hasPrefix("Threads:") { figures.threadCount = Int(line.dropFirst(8).filter(\.isNumber)) ?? 0 }
        }
        for line in lines(of: "/proc/self/io") where line.hasPrefix("write_bytes:") {
            figures.writtenByteCount = Int(line.dropFirst(12).filter(\.isNumber))
        }
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        figures.cpuSeconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        if let directory = opendir("/proc/self/fd") {
            while readdir(directory) != nil { figures.openFileCount += 1 }
            closedir(directory)
            // Less ".", ".." and the directory itself.
            figures.openFileCount = max(0, figures.openFileCount - 3)
        }
        return figures
    }

    private static func kibibytes(_ line: Substring, _ name: String) -> Int? {
        guard line.hasPrefix(name) else { return nil }
        return Int(line.dropFirst(name.count).filter(\.isNumber)).map { $0 * 1024 }
    }

    private static func lines(of path: String) -> [Substring] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return [] }
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
    }
}
