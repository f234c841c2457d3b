internal import Glibc

/// Gives memory back that is mapped from files and was needed once.
package enum ProcessMemory {
    /// Takes the pages of the files with these endings that are mapped shared out of this process, whoever mapped them; they stay in
    /// the page cache, and come back when they are read. Nothing is lost, as a shared mapping has no pages of its own
    /// (madvise(2)). Costs a look at the process's map, some 0.1 ms.
    package static func releasePages(ofFilesEndingIn endings: [String]) {
        let descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            text.append(contentsOf: chunk[..<count])
        }
        forEachMapping(in: String(decoding: text, as: UTF8.self)) { start, end, access, name in
            guard access.hasSuffix("s"), endings.contains(where: name.hasSuffix),
                let address = UnsafeMutableRawPointer(bitPattern: start)
            else { return }
            madvise(address, Int(end - start), MADV_DONTNEED)
        }
    }

    /// The mappings of files in a text as proc_pid_maps(5) describes it.
    package static func forEachMapping(
        in text: String,
        _ body: (_ start: UInt, _ end: UInt, _ access: Substring, _ name: Substring) -> Void
    ) {
        for line in text.split(separator: "\n") {
            // 7f5e4c000000-7f5e4c021000 r-xp 00001000 fe:00 1234  /usr/lib/...
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count == 6 else { continue }
            let range = fields[0].split(separator: "-")
            guard range.count == 2, let start = UInt(range[0], radix: 16), let end = UInt(range[1], radix: 16),
                start < end
            else { continue }
            body(start, end, fields[1], fields[5])
        }
    }
}
