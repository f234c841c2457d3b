import ArgumentParser
import Glibc

/// The number of each line's pattern, in the lines' order: four bytes a line in a file without a name, because memory must
/// not grow with the number of lines.
struct NumberFile: ~Copyable {
    /// Numbers written and read at once: 64 KiB.
    private static let chunkCount = 1 << 14

    private let descriptor: Int32
    private let chunk: UnsafeMutablePointer<Int32>
    private var count = 0
    /// The first error of writing; reported when the numbers are wanted.
    private var writeError: Int32?

    /// - Throws: the status EX_IOERR when there is no place for such a file; the reason is printed.
    init() throws {
        let folder = Self.folder
        // Without a name from the start (open(2), O_TMPFILE, which is __O_TMPFILE of fcntl.h with O_DIRECTORY); on file
        // systems that cannot, its name is taken away at once.
        var made = open(folder, 0o20000000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, 0o600)
        if made < 0 {
            var template = Array("\(folder)/logboom-XXXXXX".utf8CString)
            made = mkstemp(&template)
            if made >= 0 { unlink(template) }
        }
        guard made >= 0 else { throw Self.failure("make a temporary file", errno) }
        descriptor = made
        chunk = .allocate(capacity: Self.chunkCount)
    }

    deinit {
        close(descriptor)
        chunk.deallocate()
    }

    /// `TMPDIR`, else `/var/tmp`: `/tmp` lies in memory on Debian 13.
    private static var folder: String {
        let named = Output.environment["TMPDIR", default: ""]
        return named.isEmpty ? "/var/tmp" : named
    }

    private static func failure(_ what: String, _ code: Int32) -> ExitCode {
        Output.error.write(
            "logboom: \(what) in \(DisplayText.clean(folder)): \(String(cString: strerror(code))) (errno \(code)); "
                + "TMPDIR names another folder\n"
        )
        // EX_IOERR of sysexits(3).
        return ExitCode(74)
    }

    @inline(__always)
    mutating func append(_ number: Int32) {
        chunk[count] = number
        count += 1
        if count == Self.chunkCount { flush() }
    }

    private mutating func flush() {
        var written = 0
        let byteCount = count * MemoryLayout<Int32>.stride
        while writeError == nil, written < byteCount {
            let done = write(descriptor, UnsafeRawPointer(chunk) + written, byteCount - written)
            if done > 0 {
                written += done
            } else if errno != EINTR {
                writeError = errno
            }
        }
        count = 0
    }

    /// Calls `body` with each number in order until it returns `false`. Ends the appending.
    mutating func forEach(_ body: (Int32) -> Bool) throws {
        flush()
        if let writeError { throw Self.failure("keep a number a line", writeError) }
        var offset = 0
        while true {
            let byteCount = pread(descriptor, chunk, Self.chunkCount * MemoryLayout<Int32>.stride, off_t(offset))
            if byteCount < 0, errno == EINTR { continue }
            guard byteCount >= 0 else { throw Self.failure("read the numbers of the lines", errno) }
            guard byteCount > 0 else { return }
            for index in 0..<byteCount / MemoryLayout<Int32>.stride {
                guard body(chunk[index]) else { return }
            }
            offset += byteCount / MemoryLayout<Int32>.stride * MemoryLayout<Int32>.stride
        }
    }
}
