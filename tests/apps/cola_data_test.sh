#!/usr/bin/env bash
# cola_data from the outside: what it writes, what it refuses, and that a failure leaves nothing behind.
#   cola_data_test.sh BIN_DIR
# shellcheck source=tests/apps/checks.sh
. "$(dirname "$0")/checks.sh" "$1" cola_data

for i in $(seq 1 400); do
  printf 'Paragraph %d tells of things that happened %d days ago.\nIt has a second line.\n\n' "$i" $((i * i))
done >story.txt
for i in $(seq 1 300); do printf '{"url": "x", "text": "record %d"}\n' "$i"; done >records.jsonl
gzip -k records.jsonl
head -c 10000 story.txt >first.txt
echo 1,2 >table.csv

# Help, version, and lines that cannot be.
expect 0 --help
says 'validation-fraction'
expect 0 --version
says '^cola_data [0-9]+\.[0-9]+\.[0-9]+$'
refuse 'usage'
refuse 'usage' tokenise
refuse 'usage: cola_data inspect FILE' inspect
refuse -- '--field is for .jsonl and .json files' tokenize --input story.txt --output out --bytes --field content
refuse -- '--input is missing' tokenize --output out --bytes
refuse -- '--output is missing' tokenize --input story.txt --bytes
refuse 'give --tokenizer MODEL, or --bytes' tokenize --input story.txt --output out
refuse 'exclude each other' tokenize --input story.txt --output out --bytes --tokenizer m.model
refuse 'm.model' tokenize --input story.txt --output out --tokenizer m.model
refuse 'not a SentencePiece model' tokenize --input story.txt --output out --tokenizer story.txt
refuse 'none.txt: no such file' tokenize --input story.txt none.txt --output out --bytes
refuse 'unknown kind of file' tokenize --input table.csv --output out --bytes
refuse "unknown packing 'dense'" tokenize --input story.txt --output out --bytes --packing dense
refuse 'sequence-length is for --packing document' tokenize --input story.txt --output out --bytes --sequence-length 64
refuse 'validation fraction' tokenize --input story.txt --output out --bytes --validation-fraction 1.5
refuse 'document-bytes' tokenize --input story.txt --output out --bytes --document-bytes many
refuse 'unrecognised option' tokenize --input story.txt --output out --bytes --validation 0.1
refuse '--output /proc/none: cannot be made' tokenize --input story.txt --output /proc/none --bytes
refuse 'is a folder' inspect .
: >empty.txt
refuse 'holds no documents' tokenize --input empty.txt --output out --bytes
[ ! -e out ] || fail "refused runs left their folder"
for folder in new/and/deep new/and/ new/. new/../new2/; do
  refuse 'holds no documents' tokenize --input empty.txt --output $folder --bytes
  [ -z "$(ls -d new* 2>/dev/null)" ] || fail "a refused run left a folder above its own: $folder"
done
mkdir -p kept/empty
refuse 'holds no documents' tokenize --input empty.txt --output kept/empty --bytes
[ -d kept/empty ] || fail "a refused run removed a folder that it did not make"
refuse 'holds no documents' tokenize --input empty.txt --output kept/empty/new --bytes
[ "$(find kept | sort | tr '\n' ' ')" = 'kept kept/empty ' ] || fail "not what was there before: $(find kept)"
gzip -c story.txt | head -c 2000 >cut.txt.gz
refuse 'cut.txt.gz: damaged or cut short' tokenize --input cut.txt.gz --output out --bytes
[ ! -e out ] || fail "a damaged file left a folder"

# Names that the system itself has something to say about.
ln -s loop.txt loop.txt
ln -s loop.h5 loop.h5
mkfifo pipe.txt
long=$(printf '%0300d' 0)
for name in loop "$long"; do
  refuse "$name.txt: cannot be looked at: " tokenize --input "$name.txt" --output out --bytes
  refuse "$name.txt: cannot be looked at: " tokenize --input story.txt --output "$name.txt" --bytes
  refuse "$name.h5: cannot be looked at: " inspect "$name.h5"
done
refuse 'pipe.txt: is a pipe or a device' tokenize --input pipe.txt --output out --bytes
refuse 'pipe.txt: is a pipe or a device' inspect pipe.txt
refuse 'pipe.txt: the output must be a folder' tokenize --input story.txt --output pipe.txt --bytes

# A packed corpus of text and compressed JSON.
expect 0 tokenize --input story.txt records.jsonl.gz --output out --bytes --document-bytes 1000
for word in documents tokens bytes seconds MB/s; do says "$word"; done
documents=$(value documents)
[ "$(value tokens)" -eq $(($(value bytes) + documents)) ] || fail "tokens are not the bytes and an end for each document"
inspected=0
for file in out/train-00000.h5 out/validation-00000.h5; do
  expect 0 inspect "$file"
  says '^tokenizer +bytes$'
  says '^packing +packed$'
  says '^vocab_size +258$'
  says '^checks +passed$'
  inspected=$((inspected + $(value documents)))
done
[ "$inspected" -eq "$documents" ] || fail "files hold $inspected documents of $documents"
[ "$(ls out | wc -l)" -eq 2 ] || fail "unexpected files: $(ls out)"

# A second run is refused, and changes nothing; --force replaces.
before=$(cksum out/*)
refuse 'holds token files already' tokenize --input story.txt --output out --bytes
[ "$before" = "$(cksum out/*)" ] || fail "a refused run changed the files"
expect 0 tokenize --input story.txt records.jsonl.gz --output out --bytes --document-bytes 1000 --force
[ "$before" = "$(cksum out/*)" ] || fail "the same run gave other files"

# Another run may finish into the folder while this one is at work: its files stay, and this one's do not come.
yes 'some words of a text that takes a while' | head -c 300000000 >slow.txt
"$bin" tokenize --input slow.txt --output race --bytes >slow.out 2>slow.err &
slow=$!
until [ -d race ]; do sleep 0.01; done
kill -STOP $slow
expect 0 tokenize --input story.txt --output other --bytes
cp other/train-00000.h5 race/train-00001.h5
before=$(cksum race/*.h5)
kill -CONT $slow
wait $slow
[ $? -eq 2 ] || fail "another run's files: exit code 2 expected"
[ "$(wc -l <slow.err)" -eq 1 ] || fail "not one line about another run's files: $(cat slow.err)"
grep -q 'race: holds token files already (train-00001.h5)' slow.err || fail "another run's files are not named"
[ "$before" = "$(cksum race/*)" ] || fail "another run's files were harmed, or something was left: $(ls race)"
rm slow.txt

# One document a row.
expect 0 tokenize --input records.jsonl --output rows --bytes --packing document --sequence-length 16
[ "$(value tokens)" -eq $((300 * 16)) ] || fail "rows of 16 tokens expected"
expect 0 inspect rows/train-00000.h5
says '^sequence_length +16$'
says '^checks +passed$'

# A tiny corpus has a validation file too; a single document cannot.
expect 0 tokenize --input first.txt --output tiny --bytes
[ -f tiny/validation-00000.h5 ] || fail "two documents, but no validation"
expect 0 tokenize --input first.txt --output whole --bytes --document-bytes 0
complains 'all 1 documents are for training; more blank lines'
[ ! -e whole/validation-00000.h5 ] || fail "one document cannot be both"
head -n 1 records.jsonl >record.jsonl
expect 0 tokenize --input record.jsonl --output record --bytes
complains 'all 1 documents are for training; each line of the input is one document: more lines give more'
expect 0 tokenize --input story.txt --output unsplit --bytes --validation-fraction 0
[ ! -s stderr ] || fail "a warning of what was asked for"
[ ! -e unsplit/validation-00000.h5 ] || fail "validation documents that nobody wants"

# Bad input: file and line are named, nothing stays behind, old files remain.
sed '200s/.*/{"txt": 1}/' records.jsonl >bad.jsonl
refuse 'bad.jsonl:200: no field "text"' tokenize --input story.txt bad.jsonl --output broken --bytes
[ ! -e broken ] || fail "a failed run left $(ls -d broken/*)"
before=$(cksum rows/*)
refuse 'bad.jsonl:200' tokenize --input bad.jsonl --output rows --bytes --force
[ "$before" = "$(cksum rows/*)" ] || fail "a failed run with --force harmed the old files"

# A field of another name. The files are those of "text" to the byte, from one rank and from two.
sed 's/"text"/"content"/; s/"x"/"x", "text": "not this"/' records.jsonl >contents.jsonl
refuse 'records.jsonl:1: no field "content"' tokenize --input records.jsonl --output broken --bytes --field content
refuse 'contents.jsonl:1: no field "body"' tokenize --input story.txt contents.jsonl --output broken --bytes --field body
for part in a b; do cp records.jsonl $part-text.jsonl && cp contents.jsonl $part-content.jsonl; done
expect 0 tokenize --input {a,b}-text.jsonl --output text1 --bytes
expect 0 tokenize --input {a,b}-content.jsonl --output content1 --bytes --field content
for field in text content; do
  mpirun --oversubscribe -n 2 "$bin" tokenize --input {a,b}-$field.jsonl --output ${field}2 --bytes --field $field \
    >stdout 2>stderr || fail "two ranks and the field $field failed"
done
[ -e text2/train-00001.h5 ] || fail "the second rank had no documents"
for ranks in 1 2; do
  for file in "text$ranks"/*; do cmp "$file" "content$ranks/${file#*/}" || fail "another field made other files"; done
done
mpirun --oversubscribe -n 2 "$bin" tokenize --input {a,b}-content.jsonl --output broken --bytes >stdout 2>stderr ||
  fail "two ranks and the field text failed"
"$bin" inspect broken/train-00000.h5 | grep -q 'first text  *not this' || fail "not the field text"
rm -r broken

# As many bad documents as may be are left out, each named; one more ends the work.
sed '7s/.*/{"text": 1}/; 130s/.*/no JSON/; 280s/.*/{"txt": "x"}/' records.jsonl >three.jsonl
sed '7d; 130d; 280d' records.jsonl >rest.jsonl
refuse '--skip-bad -1 is negative' tokenize --input three.jsonl --output bad --bytes --skip-bad -1
refuse 'skip-bad' tokenize --input three.jsonl --output bad --bytes --skip-bad some
"$bin" tokenize --input three.jsonl --output bad --bytes --skip-bad 2 >stdout 2>stderr
[ $? -eq 2 ] || fail "three bad documents where two are allowed: exit code 2 expected"
complains '^cola_data: error: three.jsonl:280: no field "text"; 2 bad documents were left out before, and --skip-bad allows'
[ "$(wc -l <stderr)" -eq 3 ] || fail "not two warnings and an error"
[ ! -e bad ] || fail "too many bad documents left a folder"
expect 0 tokenize --input three.jsonl --output bad --bytes --skip-bad 3
complains '^cola_data: warning: three.jsonl:7: field "text" is no text; left out$'
complains '^cola_data: warning: three.jsonl:130: not a JSON object: column 2: syntax error.*; left out$'
complains '^cola_data: warning: three.jsonl:280: no field "text"; left out$'
says '^left out +3 documents that cannot be read$'
[ "$(value documents)" -eq 297 ] || fail "297 documents expected"
expect 0 tokenize --input rest.jsonl --output rest --bytes --skip-bad 3
grep -q 'left out  ' stdout && fail "nothing was left out"
for file in rest/*; do cmp "$file" "bad/${file#*/}" || fail "bad documents left something in the files"; done
head -n 150 three.jsonl >upper.jsonl
tail -n 150 three.jsonl >lower.jsonl
for input in three.jsonl 'upper.jsonl lower.jsonl'; do
  for allowed in 3 2 1 0; do
    # shellcheck disable=SC2086
    mpirun --oversubscribe -n 2 "$bin" tokenize --input $input --output bad2 --bytes --skip-bad $allowed >stdout 2>stderr
    code=$?
    if [ $allowed -eq 3 ]; then
      [ $code -eq 0 ] || fail "two ranks may leave three documents out"
      [ "$(value documents)" -eq 297 ] || fail "297 documents of two ranks expected"
      [ "$(grep -c 'rank . on .*: warning: .*; left out$' stderr)" -eq 3 ] || fail "three warnings expected"
      says '^left out +3 documents that cannot be read$'
      rm -r bad2
    else
      [ $code -eq 2 ] || fail "two ranks, of three bad documents $allowed allowed: exit code 2 expected, not $code"
      grep -q "error: " stderr || fail "no error is told"
      [ ! -e bad2 ] || fail "two ranks left $(ls -d bad2/*)"
    fi
    [ "$input $allowed" != 'upper.jsonl lower.jsonl 2' ] ||
      complains '3 documents cannot be read, and --skip-bad 2 allows no more to be left out$'
  done
done
head -n 1 records.jsonl >single.jsonl
"$bin" tokenize --input single.jsonl --output bad3 --bytes --skip-bad 1 --field none >stdout 2>stderr
[ $? -eq 2 ] || fail "nothing but bad documents: exit code 2 expected"
complains 'the input holds no documents .0 empty ones, 1 that cannot be read.'
head -c 500 records.jsonl.gz >cut.jsonl.gz
refuse 'cut.jsonl.gz: damaged or cut short' tokenize --input cut.jsonl.gz --output bad3 --bytes --skip-bad 100
[ ! -e bad3 ] || fail "refused runs left a folder"

# What Python's json writes of a name that it could not decode.
printf '{"text": "caf\\udce9"}\n{"text": "two"}\n' >surrogates.jsonl
expect 0 tokenize --input surrogates.jsonl --output surrogates --bytes
[ "$(value documents)" -eq 2 ] || fail "a lone surrogate ends the work"
printf '{"text": "one"}\n{"text": "two", "number": [1}\n' >syntax.jsonl
refuse 'syntax.jsonl:2: not a JSON object: column 29: syntax error' tokenize --input syntax.jsonl --output broken --bytes

# A text of one line, in pieces that fit into memory, the same ones from three ranks as from one.
tr '\n' ' ' <story.txt >line.txt
for _ in $(seq 1 9); do cat line.txt line.txt >twice && mv twice line.txt; done
expect 0 tokenize --input line.txt --output line --bytes
documents_of_line=$(value documents)
[ "$documents_of_line" -gt 10 ] || fail "a line of $(wc -c <line.txt) bytes makes $documents_of_line documents"
[ "$(value bytes)" -eq "$(wc -c <line.txt)" ] || fail "bytes of the line are missing"
mpirun --oversubscribe -n 3 "$bin" tokenize --input line.txt --output lines --bytes >stdout 2>stderr || fail "three ranks failed"
[ "$(value documents)" -eq "$documents_of_line" ] || fail "three ranks cut a long line elsewhere"

# A disk that takes no more: exit code 1, nothing stays behind.
for _ in $(seq 1 300); do cat story.txt; done >long.txt
(
  ulimit -f 16384
  "$bin" tokenize --input long.txt --output full --bytes
) >stdout 2>stderr
[ $? -eq 1 ] || fail "a full disk must end in exit code 1"
grep -q 'full/.*cannot write' stderr || fail "no word about the write that failed"
[ ! -e full ] || fail "a full disk left $(ls -d full/*)"

# What inspect finds.
refuse 'no such file' inspect none.h5
expect 1 inspect story.txt
head -c 3000 out/train-00000.h5 >short.h5
expect 1 inspect short.h5
cp out/train-00000.h5 damaged.h5
printf '\377\377' | dd of=damaged.h5 bs=1 seek=$(($(wc -c <damaged.h5) - 200)) conv=notrunc 2>/dev/null
expect 1 inspect damaged.h5
grep -q 'damaged.h5: .*beyond the file.s vocabulary' stderr || fail "the bad token is not named"

# Several files: a line each, the sums, and all of them are looked at.
expect 0 inspect rows/train-00000.h5
row_documents=$(value documents) row_padding=$(value padding)
expect 0 inspect out/train-00000.h5
packed_tokens=$(value tokens) packed_documents=$(value documents)
sums="$((16 * row_documents + packed_tokens)) tokens, $((row_documents + packed_documents)) documents, $row_padding padding in 2 files"
[ "$row_padding" -gt 0 ] || fail "short rows have padding"
expect 0 inspect rows/train-00000.h5 out/train-00000.h5
says "^rows/train-00000.h5: $((16 * row_documents)) tokens in rows of 16, $row_documents documents, $row_padding padding; bytes$"
says "^out/train-00000.h5: $packed_tokens tokens, $packed_documents documents, 0 padding; bytes$"
says "^total: $sums, all good$"
[ "$(wc -l <stdout)" -eq 3 ] || fail "not two lines and their sums"
[ ! -s stderr ] || fail "a complaint about good files"
expect 1 inspect damaged.h5 rows/train-00000.h5 short.h5 story.txt out/train-00000.h5
says "^total: $sums; 3 more failed the checks$"
[ "$(wc -l <stdout)" -eq 3 ] || fail "not a line for each good file, and their sums"
[ "$(wc -l <stderr)" -eq 3 ] || fail "not a line for each damaged file"
complains '^cola_data: error: damaged.h5: .*beyond the file.s vocabulary'
for name in short.h5 story.txt; do complains "^cola_data: error: $name: "; done
refuse 'none.h5: no such file' inspect rows/train-00000.h5 none.h5
[ ! -s stdout ] || fail "a name of no file is found before any is read"

# Several ranks: the same documents, in files of their own.
mpirun --oversubscribe -n 3 "$bin" tokenize --input story.txt records.jsonl --output ranks --bytes \
  --document-bytes 1000 >stdout 2>stderr || fail "three ranks failed"
[ "$(value documents)" -eq "$documents" ] || fail "three ranks found other documents"
[ "$(grep -c '^documents' stdout)" -eq 1 ] || fail "more than one rank speaks"
sum=0
for file in ranks/*.h5; do
  expect 0 inspect "$file"
  sum=$((sum + $(value documents)))
done
[ "$sum" -eq "$documents" ] || fail "the ranks' files hold $sum documents of $documents"
expect 0 tokenize --input story.txt records.jsonl --output ranks --bytes --force
[ "$(echo ranks/*)" = "ranks/train-00000.h5 ranks/validation-00000.h5" ] || fail "--force left files of the run before"

# Ranks that see other sizes, as of files that grow: rank 0 says who reads what.
mkdir sees0 sees1
head -n 30 records.jsonl | tee sees0/a.jsonl >sees1/b.jsonl
head -n 5 records.jsonl >sees1/a.jsonl
head -n 4 records.jsonl >sees0/b.jsonl
(
  words=(tokenize --input a.jsonl b.jsonl --output "$work/seen" --bytes)
  mpirun --oversubscribe -n 1 -wdir "$work/sees0" "$bin" "${words[@]}" : -n 1 -wdir "$work/sees1" "$bin" "${words[@]}"
) >stdout 2>stderr || fail "ranks that see other sizes failed"
[ "$(value documents)" -eq 34 ] || fail "ranks did not share rank 0's plan"
head -n 3 records.jsonl >sees1/b.jsonl
(
  words=(tokenize --input a.jsonl b.jsonl --output "$work/shrunk" --bytes)
  mpirun --oversubscribe -n 1 -wdir "$work/sees0" "$bin" "${words[@]}" : -n 1 -wdir "$work/sees1" "$bin" "${words[@]}"
) >stdout 2>stderr
[ $? -ne 0 ] || fail "a file that has shrunk must fail"
complains 'rank 1 on .* b.jsonl: has [0-9]+ bytes, but had [0-9]+ when the work began'

mpirun --oversubscribe -n 2 "$bin" tokenize --input story.txt none.txt --output none --bytes >stdout 2>stderr
[ $? -eq 2 ] || fail "two ranks and a missing file: exit code 2 expected"
[ "$(grep -c 'none.txt: no such file' stderr)" -eq 1 ] || fail "two ranks must complain once"
mpirun --oversubscribe -n 2 "$bin" tokenize --input story.txt bad.jsonl --output none --bytes >stdout 2>stderr
[ $? -ne 0 ] || fail "two ranks and a bad line must fail"
grep -q 'bad.jsonl:200' stderr || fail "two ranks do not name the bad line"
[ ! -e none ] || fail "two ranks left $(ls -d none/*)"
for folder in none kept/empty; do
  mpirun --oversubscribe -n 2 "$bin" tokenize --input empty.txt --output $folder --bytes >stdout 2>stderr
  [ $? -eq 2 ] || fail "two ranks without documents: exit code 2 expected"
done
[ ! -e none ] || fail "two ranks without documents left their folder"
[ -d kept/empty ] || fail "two ranks removed a folder that they did not make"

# Whichever rank fails is the one that is named.
mkdir -p taken/train-00001.h5/full
mpirun --oversubscribe -n 2 "$bin" tokenize --input story.txt records.jsonl --output taken --bytes --force >stdout 2>stderr
[ $? -eq 1 ] || fail "a name that is taken: exit code 1 expected"
grep -q "^cola_data: rank 1 on [^:]*: error: taken/train-00001.h5: cannot rename" stderr || fail "rank 1 and its host are not named"

# A SentencePiece model.
spm_train --input=story.txt --model_prefix=story --vocab_size=80 >/dev/null 2>&1 || fail "spm_train makes no model"
expect 0 tokenize --input story.txt --output pieces --tokenizer story.model
expect 0 inspect pieces/train-00000.h5
says '^tokenizer +story.model xxh3:[0-9a-f]{16}$'
says '^checks +passed$'

# It has no piece for padding, and its end-of-sentence piece fills rows: beyond each document's own end, it is padding.
expect 0 tokenize --input story.txt --output stream --tokenizer story.model --document-bytes 1 --validation-fraction 0
tokens_of_documents=$(value tokens)
expect 0 tokenize --input story.txt --output padded --tokenizer story.model --document-bytes 1 --validation-fraction 0 \
  --packing document --sequence-length 512
grep -q 'cut off' stdout && fail "rows of 512 tokens cut documents"
padding=$(($(value tokens) - tokens_of_documents))
[ "$padding" -gt 400 ] || fail "the rows hold no padding to be counted"
expect 0 inspect padded/train-00000.h5
[ "$(value eos_id)" -eq "$(value pad_id)" ] || fail "the model has a pad piece of its own"
[ "$(value padding)" -eq "$padding" ] || fail "$padding tokens of padding expected"

cp story.model $'st\xf6ry.model'
expect 0 tokenize --input story.txt --output latin --tokenizer $'st\xf6ry.model'
expect 0 inspect latin/train-00000.h5
says $'^tokenizer +st\xef\xbf\xbdry.model xxh3:[0-9a-f]{16}$'

finish
