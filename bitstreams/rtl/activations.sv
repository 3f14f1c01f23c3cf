// The memory of activations: BY x BX banks, so that a block of BY x BX neighbouring pixels of a plane is read in a clock,
// wherever it begins. Pixel (y, x) of a plane is in bank (y mod BY, x mod BX), at base + y / BY * row_pitch + x / BX.
// A read has 7 clocks; taps outside the image are the padding.
module activations #(
  parameter int N = 16, BYL = 1, BXL = 2, DL = 10,
  localparam int BY = 1 << BYL, BX = 1 << BXL, T = BY * BX
) (
  input  logic clk,
  // write
  input  logic we,
  input  logic [BY-1:0] w_row,  // one bit
  input  logic [BX-1:0] w_col,  // one bit
  input  logic [DL-1:0] w_addr,
  input  logic [N*8-1:0] w_data,
  // read: what the tile says is read one to three clocks later
  /* verilator lint_off UNUSEDSIGNAL */
  input  tile_pkg::tile_t tile,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic valid,
  input  logic signed [15:0] y, x,
  input  logic [15:0] plane,
  output logic [T*N*8-1:0] taps,  // taps[ty*BX + tx] = pixel (y + ty, x + tx)
  output logic out_of_range       // a pixel inside the image is not inside the memory
);
  localparam int WORD = N * 8;
  function automatic logic in_image(input logic signed [15:0] place, input logic [15:0] extent);
    in_image = !place[15] && {1'b0, place[14:0]} < extent;
  endfunction
  // 1: rows of banks
  logic v1, v2, v3;
  logic signed [15:0] x1, x2;
  logic [2:0] y1;
  logic [15:0] plane1, plane2, pitch1;
  logic [32:0] rows2;
  logic [BY-1:0] row_in1, row_in2;
  logic [BX-1:0] col_in2;
  wire [15:0] rows_limit = tile.x_rows, cols_limit = tile.x_cols;
  wire signed [15:0] y_bank = y >>> BYL;
  always_ff @(posedge clk) begin
    v1 <= valid;
    y1 <= y[2:0];
    x1 <= x;
    plane1 <= plane;
    pitch1 <= tile.x_row_pitch;
    for (int ty = 0; ty < BY; ty++) row_in1[ty] <= in_image(y + $signed(16'(ty)), rows_limit);
  end
  // 1, 2: their product with the pitch
  multiplier #(.A(16), .B(17)) u_rows (.clk, .a(y_bank), .b({1'b0, tile.x_row_pitch}), .p(rows2));
  logic [2:0] y2;
  logic [15:0] pitch2;
  always_ff @(posedge clk) begin
    v2 <= v1;
    y2 <= y1;
    x2 <= x1;
    plane2 <= plane1;
    pitch2 <= pitch1;
    row_in2 <= row_in1;
    for (int tx = 0; tx < BX; tx++) col_in2[tx] <= in_image(x1 + $signed(16'(tx)), cols_limit);
  end
  // 3: bases
  logic [15:0] base3[0:BY-1];
  logic [15:0] col3[0:BX-1];
  logic [T-1:0] in3;
  wire signed [15:0] x_bank2 = x2 >>> BXL;
  logic [2:0] ry3, rx3;
  wire [2:0] ry2 = y2 & 3'(BY - 1), rx2 = x2[2:0] & 3'(BX - 1);
  always_ff @(posedge clk) begin
    v3 <= v2;
    ry3 <= ry2;
    rx3 <= rx2;
    for (int b = 0; b < BY; b++) base3[b] <= plane2 + rows2[15:0] + (b < int'(ry2) ? pitch2 : 16'd0);
    for (int b = 0; b < BX; b++) col3[b] <= x_bank2 + (b < int'(rx2) ? 16'd1 : 16'd0);
    for (int ty = 0; ty < BY; ty++)
      for (int tx = 0; tx < BX; tx++) in3[ty*BX+tx] <= row_in2[ty] & col_in2[tx];
  end
  wire unused = &{1'b0, rows2[32:16]};
  // 4: addresses; 5, 6: the memory
  logic [T*WORD-1:0] q6;
  logic [T-1:0] off4;
  logic in_image4;
  for (genvar by = 0; by < BY; by++) begin : g_by
    for (genvar bx = 0; bx < BX; bx++) begin : g_bx
      logic [15:0] at4;
      always_ff @(posedge clk) at4 <= base3[by] + col3[bx];
      assign off4[by*BX+bx] = |at4[15:DL];
      ram #(.W(WORD), .DL(DL)) u_bank (
        .clk, .we(we & w_row[by] & w_col[bx]), .wa(w_addr), .wd(w_data), .ra(at4[DL-1:0]), .rd(q6[(by*BX+bx)*WORD+:WORD]));
    end
  end
  // Every tap's own bank must be in range where the tap is in the image.
  logic [T-1:0] in4;
  logic [2:0] ry4, rx4;
  logic v4;
  always_ff @(posedge clk) begin
    in4 <= in3;
    ry4 <= ry3;
    rx4 <= rx3;
    v4 <= v3;
  end
  always_comb begin
    in_image4 = 0;
    for (int ty = 0; ty < BY; ty++)
      for (int tx = 0; tx < BX; tx++)
        in_image4 = in_image4
          | (in4[ty*BX+tx] & off4[((ty + int'(ry4)) & (BY-1)) * BX + ((tx + int'(rx4)) & (BX-1))]);
  end
  always_ff @(posedge clk) out_of_range <= v4 & in_image4;
  // 7: rotated, so that tap 0 is pixel (y, x); padded. Every byte of a word has its own copy of what says how.
  logic [T+5:0] turn5;
  always_ff @(posedge clk) turn5 <= {in4, ry4, rx4};
  logic [7:0] sign;
  always_ff @(posedge clk) sign <= tile.layer.x_unsigned && tile.layer.op != tile_pkg::OP_ADD ? 8'h80 : 8'h00;
  for (genvar n = 0; n < N; n++) begin : g_byte
    logic [T-1:0] in6;
    /* verilator lint_off UNUSEDSIGNAL */
    logic [2:0] ry6, rx6;
    /* verilator lint_on UNUSEDSIGNAL */
    copy #(.W(T + 6)) u_turn (.clk, .d(turn5), .q({in6, ry6, rx6}));
    for (genvar s = 0; s <= BYL + BXL; s++) begin : g_turn
      logic [T*8-1:0] v;
      for (genvar t = 0; t < T; t++) begin : g_tap
        localparam int TY = t / BX, TX = t % BX;
        if (s == 0) begin : g_banks
          assign v[t*8+:8] = q6[t*WORD+n*8+:8];
        end else if (s <= BYL) begin : g_rows
          localparam int FROM = (TY + (1 << (s - 1))) % BY * BX + TX;
          assign v[t*8+:8] = ry6[s-1] ? g_turn[s-1].v[FROM*8+:8] : g_turn[s-1].v[t*8+:8];
        end else begin : g_cols
          localparam int FROM = TY * BX + (TX + (1 << (s - 1 - BYL))) % BX;
          assign v[t*8+:8] = rx6[s-1-BYL] ? g_turn[s-1].v[FROM*8+:8] : g_turn[s-1].v[t*8+:8];
        end
      end
    end
    for (genvar t = 0; t < T; t++) begin : g_pad
      always_ff @(posedge clk) taps[t*WORD+n*8+:8] <= in6[t] ? g_turn[BYL+BXL].v[t*8+:8] ^ sign : tile.layer.pad;
    end
  end
endmodule
