// Implicit im2col: the steps of a tile, one a clock. For each output pixel: kernel rows, kernel columns, planes (innermost).
// A step reads the activations around one place of the input and one word of weights.
module steps #(
  parameter int DRAIN = 2  // clocks that the sums of a pixel need to leave the array
) (
  input  logic clk, rst,
  /* verilator lint_off UNUSEDSIGNAL */
  input  tile_pkg::tile_t tile,    // stable while busy
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic start,    // for one clock, while not busy
  input  logic hold,     // no room for another pixel's results
  output logic busy,
  output logic held_drain, held_room,
  // the step, if valid
  output logic valid, first, last,
  output logic signed [15:0] y, x,  // place in the tile's input, which can lie outside
  output logic [15:0] plane,        // where the plane begins in each bank
  output logic [15:0] weight,
  output tile_pkg::tag_t tag
);
  logic [15:0] planes_left, y_left, x_left;
  logic [7:0] ky_left, kx_left;
  // Registered comparisons: the last turn of each loop.
  logic plane_end, kx_end, ky_end, x_end, y_end;
  logic signed [15:0] y_row, y_now, x_pixel, x_now;
  logic [15:0] plane_now, weight_now, sums_now;
  logic fresh;
  logic [7:0] gap;
  logic gap_over;
  logic counting;

  wire pixel_end = plane_end & kx_end & ky_end;

  // A step waits in the registers of the output until its turn; what it waits for is a register too, so that neither the loops
  // nor the array hang on more than two of them. Results of a pixel leave while those of the next are computed.
  logic waits, ends_pixel, may_end;
  wire go = waits & (~ends_pixel | may_end);
  wire next = ~waits | go;
  wire turn = counting & next;
  wire drained = go & ends_pixel ? DRAIN == 1 : gap_over | gap == 1;

  wire signed [15:0] row_after = y_row + $signed({8'b0, tile.stride_y});
  wire signed [15:0] pixel_after = x_pixel + $signed({8'b0, tile.stride_x});

  always_ff @(posedge clk) begin
    if (go && ends_pixel) gap <= 8'(DRAIN - 1);
    else if (gap != 0) gap <= gap - 1;
    gap_over <= drained;
    may_end <= drained & ~(hold & tile.last);
    held_drain <= waits & ends_pixel & ~gap_over;
    held_room <= waits & ends_pixel & gap_over & ~may_end;
    if (start) begin
      counting <= 1;
      fresh <= 1;
      planes_left <= tile.planes - 1;
      plane_end <= tile.planes == 1;
      kx_left <= tile.kernel_x - 1;
      kx_end <= tile.kernel_x == 1;
      ky_left <= tile.kernel_y - 1;
      ky_end <= tile.kernel_y == 1;
      x_left <= tile.y_cols - 1;
      x_end <= tile.y_cols == 1;
      y_left <= tile.y_rows - 1;
      y_end <= tile.y_rows == 1;
      y_row <= tile.origin_y;
      y_now <= tile.origin_y;
      x_pixel <= tile.origin_x;
      x_now <= tile.origin_x;
      plane_now <= tile.x_base;
      weight_now <= tile.w_base;
      sums_now <= tile.sums_base;
    end else if (turn) begin
      fresh <= pixel_end;
      weight_now <= pixel_end ? tile.w_base : weight_now + 1;
      plane_now <= plane_end ? tile.x_base : plane_now + tile.x_plane_pitch;
      planes_left <= plane_end ? tile.planes - 1 : planes_left - 1;
      plane_end <= plane_end ? tile.planes == 1 : planes_left == 1;
      if (plane_end) begin
        x_now <= x_now + $signed({8'b0, tile.pitch_x});
        kx_left <= kx_end ? tile.kernel_x - 1 : kx_left - 1;
        kx_end <= kx_end ? tile.kernel_x == 1 : kx_left == 1;
        if (kx_end) begin
          x_now <= x_pixel;
          y_now <= y_now + $signed({8'b0, tile.pitch_y});
          ky_left <= ky_end ? tile.kernel_y - 1 : ky_left - 1;
          ky_end <= ky_end ? tile.kernel_y == 1 : ky_left == 1;
        end
      end
      if (pixel_end) begin
        sums_now <= sums_now + 1;
        y_now <= y_row;
        x_now <= pixel_after;
        x_pixel <= pixel_after;
        x_left <= x_left - 1;
        x_end <= x_left == 1;
        if (x_end) begin
          x_left <= tile.y_cols - 1;
          x_end <= tile.y_cols == 1;
          x_now <= tile.origin_x;
          x_pixel <= tile.origin_x;
          y_now <= row_after;
          y_row <= row_after;
          y_left <= y_left - 1;
          y_end <= y_left == 1;
          if (y_end) counting <= 0;
        end
      end
    end
    if (next) begin
      waits <= counting;
      ends_pixel <= pixel_end;
      first <= fresh;
      y <= y_now;
      x <= x_now;
      plane <= plane_now;
      weight <= weight_now;
      tag <= {tile.first, tile.last, x_end & y_end, tile.slot, sums_now};  // in the order of the fields
    end
    if (rst) begin
      counting <= 0;
      waits <= 0;
      gap <= 0;
      gap_over <= 1;
    end
  end
  assign busy = counting | waits;
  assign valid = go;
  assign last = go & ends_pixel;

`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!rst && start) begin
      a_start_while_busy : assert (!busy);
      a_no_empty_loop : assert (tile.planes != 0 && tile.kernel_x != 0 && tile.kernel_y != 0 && tile.y_cols != 0 && tile.y_rows != 0);
    end
`endif
endmodule
