// Writes words of results: those of a tile row by row, in the order they were computed. Or a stamp.
module store #(
  parameter int N = 16, FDL = 9, ROOM = 64,
  parameter int AL = 32  // bits of addresses
) (
  input  logic clk, rst,
  // tiles, in order
  input  logic tile_valid,  // only while ready
  output logic tile_ready,
  input  logic stamp,
  input  logic [15:0] rows, cols,
  input  logic [AL-1:0] addr, pitch,
  input  logic [127:0] stamp_data,
  // words
  input  logic word_valid,
  input  logic [N*8-1:0] word,
  output logic full,  // no room for what may be on its way
  // external memory
  output logic wr_valid,
  input  logic wr_ready,
  output logic [AL-1:0] wr_addr,
  output logic [N*8-1:0] wr_data,
  output logic idle
);
  // ---- words wait here
  logic [FDL:0] waiting;
  logic [FDL-1:0] wa, ra;
  logic [N*8-1:0] rd, ahead[0:2];
  logic [1:0] reading;             // reads on their way
  logic [1:0] have;                // words in `ahead`
  wire pop;
  logic some;                      // words wait: perhaps true a clock late, never false a clock late
  wire fetch = some && 3'(have) + 3'(reading[0]) + 3'(reading[1]) < 3'd3;
  ram #(.W(N * 8), .DL(FDL)) u_words (.clk, .we(word_valid), .wa, .wd(word), .ra, .rd);
  always_ff @(posedge clk) begin
    if (word_valid) wa <= wa + 1;
    if (fetch) ra <= ra + 1;
    waiting <= waiting + (FDL + 1)'(word_valid) - (FDL + 1)'(fetch);
    some <= waiting != 0 && !(fetch && waiting == 1);
    full <= 32'(waiting) >= (1 << FDL) - ROOM;
    reading <= {reading[0], fetch};
    if (pop) begin
      ahead[0] <= ahead[1];
      ahead[1] <= ahead[2];
    end
    if (reading[1]) ahead[have - 2'(pop)] <= rd;
    have <= have + 2'(reading[1]) - 2'(pop);
    if (rst) begin
      wa <= 0;
      ra <= 0;
      waiting <= 0;
      some <= 0;
      reading <= 0;
      have <= 0;
      full <= 0;
    end
  end

  // ---- tiles wait here: one at work, one behind
  logic busy, next_valid, busy_stamp, next_stamp;
  // Registered comparisons: the last row, the last word of a row.
  logic row_end, col_end, next_row_end, next_col_end, one_col;
  logic [15:0] rows_left, cols_left, next_rows, next_cols, cols_of;
  logic [AL-1:0] row_at, at, pitch_of, next_addr, next_pitch;
  logic [127:0] stamp_left, next_data;
  assign tile_ready = !next_valid;
  assign wr_valid = busy & (busy_stamp | have != 0);
  assign wr_addr = at;
  assign wr_data = busy_stamp ? stamp_left[N*8-1:0] : ahead[0];
  wire sent = wr_valid & wr_ready;
  assign pop = sent & ~busy_stamp;
  wire tile_end = sent & col_end & row_end;
  always_ff @(posedge clk) begin
    if (tile_valid) begin
      next_valid <= 1;
      next_stamp <= stamp;
      next_rows <= stamp ? 16'd1 : rows;
      next_cols <= stamp ? 16'(16 / N) : cols;
      next_row_end <= stamp | rows == 1;
      next_col_end <= stamp ? N == 16 : cols == 1;
      next_addr <= addr;
      next_pitch <= pitch;
      next_data <= stamp_data;
    end
    if (sent) begin
      at <= at + AL'(N);
      stamp_left <= stamp_left >> (N * 8);
      cols_left <= cols_left - 1;
      col_end <= cols_left == 2;
      if (col_end) begin
        cols_left <= cols_of;
        col_end <= one_col;
        rows_left <= rows_left - 1;
        row_end <= rows_left == 2;
        at <= row_at + pitch_of;
        row_at <= row_at + pitch_of;
      end
    end
    if (!busy || tile_end) begin
      busy <= next_valid;
      busy_stamp <= next_stamp;
      rows_left <= next_rows;
      cols_left <= next_cols;
      cols_of <= next_cols;
      row_end <= next_row_end;
      col_end <= next_col_end;
      one_col <= next_col_end;
      at <= next_addr;
      row_at <= next_addr;
      pitch_of <= next_pitch;
      stamp_left <= next_data;
      if (next_valid) next_valid <= 0;
    end
    if (rst) begin
      busy <= 0;
      next_valid <= 0;
    end
  end
  assign idle = !busy & !next_valid & !tile_valid;

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!rst) begin
      a_room_for_every_word : assert (!(word_valid && waiting[FDL]));
      a_tiles_only_while_ready : assert (!(tile_valid && next_valid && busy && !tile_end));
    end
`endif
endmodule
